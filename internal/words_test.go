package internal_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// vague are names that say nothing about what a package is for.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "lib"}

// TestPackageNames holds that packages are named by nouns of the domain.
func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(vague, name) {
			t.Errorf("%s: a package called %s says nothing", s.path, name)
		}
	}
}

// noPlace are words that no file of the project may hold, and why. They are
// written in pieces, or this file would be the first to fail.
var noPlace = []struct {
	word *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`), "what is missing is an issue or a line of docs/spec.md that says pending"},
	{regexp.MustCompile(`\b(proxy\.gol` + `ang|sum\.gol` + `ang|deb\.deb` + `ian|security\.deb` + `ian|snapshot\.deb` + `ian|archive\.ubu` + `ntu|py` + `pi|registry\.np` + `mjs|cra` + `tes)\.(org|com|io)\b`), "where packages come from is the machine's setting"},
	{regexp.MustCompile(`(^|[^A-Za-z0-9_.}/-])/wo` + `rk/`), "a path of one machine"},
	{regexp.MustCompile(`\.\./sha` + `red\b`), "it is outside the tree"},
}

// TestWords holds that these words are nowhere: sources, scripts and documents.
// go.sum is left out, since it names modules and nothing else.
func TestWords(t *testing.T) {
	walk(t, func(path string, text []byte) {
		if path == "go.sum" || strings.Contains(path, "testdata/fuzz/") {
			return
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, w := range noPlace {
				if found := w.word.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", path, i+1, found, w.why)
				}
			}
		}
	})
}
