// Package internal_test holds the gates of the whole tree as tests: which package
// may import which, what must be documented, how large things may grow, and which
// words have no place here. It reads the sources and runs nothing but the go
// command. A gate that stands in the way is changed here, with its reason, never
// walked around.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the module's path; root is its directory, seen from this package.
const (
	module = "aegis"
	root   = ".."
)

// source is one parsed Go file of the module.
type source struct {
	path string // from the root, with slashes
	dir  string // its package's directory, "internal/wire"
	test bool
	text string
	fset *token.FileSet
	file *ast.File
}

// line is where pos is, for a person.
func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// imports lists the module's own packages that the file imports, from the root.
func (s source) imports() []string {
	var out []string
	for _, spec := range s.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if own, ok := strings.CutPrefix(path, module+"/"); ok {
			out = append(out, own)
		}
	}
	return out
}

// walk calls f with every file that belongs to the project: what .gitignore names
// and what other tools keep is left out.
func walk(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	skip := []string{".git", "bin", "build", "app"}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(skip, rel) { // .git is a file in a linked work tree
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(rel, ".test") || strings.HasSuffix(rel, ".out") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(rel), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file but those in testdata.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	walk(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		dir := path[:max(0, strings.LastIndex(path, "/"))]
		out = append(out, source{path, dir, strings.HasSuffix(path, "_test.go"), string(text), fset, file})
	})
	if len(out) < 20 {
		t.Fatalf("%d Go files below %s: the gates look at the wrong place", len(out), root)
	}
	return out
}
