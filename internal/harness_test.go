package internal_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// -update writes the golden list anew.
var update = flag.Bool("update", false, "write testdata/harness.deps")

// golden lists every package in the harness's binary, the standard library's too.
const golden = "testdata/harness.deps"

// TestHarnessDependencies holds what is in the guest's only program of ours: it is
// PID 1 in every guest, its size is boot time, and what isn't in it can't be
// attacked. A new line there is a decision.
func TestHarnessDependencies(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "cmd/aegis-harness")); err != nil {
		t.Skip("pending: there is no cmd/aegis-harness yet")
	}
	// One platform's list, whatever the host; the runtime's own packages differ
	// between versions of Go and are not ours to choose.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/aegis-harness")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := slices.DeleteFunc(strings.Fields(string(out)), private)
	slices.Sort(deps)
	for _, dep := range deps {
		if dep == "net/http" || strings.HasPrefix(dep, "net/http/") {
			t.Errorf("the harness has %s in it", dep)
		}
	}
	got := strings.Join(deps, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range deps {
		if !slices.Contains(strings.Fields(string(want)), dep) {
			t.Errorf("new in the harness: %s (go test ./internal -run Harness -update, if it has to be)", dep)
		}
	}
	for _, dep := range strings.Fields(string(want)) {
		if !slices.Contains(deps, dep) {
			t.Errorf("no longer in the harness: %s (go test ./internal -run Harness -update)", dep)
		}
	}
}

// private reports whether a package is inside the standard library.
func private(path string) bool {
	if strings.HasPrefix(path, module+"/") {
		return false
	}
	first, _, _ := strings.Cut(path, "/")
	std := !strings.Contains(first, ".")
	return std && (slices.Contains(strings.Split(path, "/"), "internal") || first == "vendor" || first == "runtime")
}
