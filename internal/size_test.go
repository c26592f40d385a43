package internal_test

import (
	"go/ast"
	"go/format"
	"strings"
	"testing"
)

// Limits of size, in lines. Good Go of this kind has files of 100 and functions of
// 10 at the median; beyond these limits a thing is two things.
const (
	maxFile     = 400
	maxFunction = 60
)

// tooLarge names what may pass a limit, as "path" or "path function", and why.
var tooLarge = map[string]string{}

// TestSize holds the limits, and that no exception outlives its reason.
func TestSize(t *testing.T) {
	used := map[string]bool{}
	excused := func(name string) bool {
		used[name] = true
		return tooLarge[name] != ""
	}
	for _, s := range sources(t) {
		if lines := strings.Count(s.text, "\n"); lines > maxFile && !excused(s.path) {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, maxFile)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.line(f.End()) - s.line(f.Pos()) + 1
			if lines > maxFunction && !excused(s.path+" "+f.Name.Name) {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, s.line(f.Pos()), f.Name.Name, lines, maxFunction)
			}
		}
	}
	for name, why := range tooLarge {
		if !used[name] {
			t.Errorf("the exception for %q (%s) is not needed any more", name, why)
		}
	}
}

// TestFormat holds that every file is as gofmt writes it.
func TestFormat(t *testing.T) {
	for _, s := range sources(t) {
		want, err := format.Source([]byte(s.text))
		if err != nil {
			t.Error(err)
		} else if string(want) != s.text {
			t.Errorf("%s is not as gofmt writes it", s.path)
		}
	}
}
