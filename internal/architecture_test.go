package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aegis/internal/instance"
)

// TestLifecycleIsDrawn holds ARCHITECTURE.md to the table that decides.
func TestLifecycleIsDrawn(t *testing.T) {
	const begin, end = "<!-- lifecycle -->\n", "<!-- /lifecycle -->"
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), begin)
	drawn, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("ARCHITECTURE.md has no table between %q and %q", begin, end)
	}
	if drawn != instance.Table() {
		t.Errorf("ARCHITECTURE.md draws\n%s\nand the table is\n%s", drawn, instance.Table())
	}
}

var (
	promise  = regexp.MustCompile(`(?m)^- (?:.+\n)(?:  .+\n)*`)
	testName = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	function = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestPromises holds that each promise of docs/spec.md, a line with a dash, names
// a test that exists, or says that it is pending and why.
func TestPromises(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for _, m := range function.FindAllStringSubmatch(s.text, -1) {
			tests[filepath.Base(s.dir)+"."+m[1]] = true
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/spec.md"))
	if err != nil {
		t.Fatal(err)
	}
	promises := promise.FindAllString(string(text), -1)
	if len(promises) < 20 {
		t.Fatalf("docs/spec.md has %d promises", len(promises))
	}
	for _, p := range promises {
		names := testName.FindAllStringSubmatch(p, -1)
		for _, m := range names {
			if name := m[1] + "." + m[2]; !tests[name] {
				t.Errorf("docs/spec.md names the test %s, which does not exist", name)
			}
		}
		if len(names) == 0 && !strings.Contains(p, "pending: ") {
			t.Errorf("docs/spec.md promises without a test, and is not pending:\n%s", p)
		}
	}
}
