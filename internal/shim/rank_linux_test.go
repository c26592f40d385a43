package shim

import (
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/paths"
)

// TestRankOfAGroup holds that a run in a group of its own gives up its share there, and gets
// back what it was.
func TestRankOfAGroup(t *testing.T) {
	dir, group := paths.Run{Dir: t.TempDir()}, t.TempDir()
	weight := filepath.Join(group, "cpu.weight")
	for path, body := range map[string]string{dir.Group(): group, weight: "50\n"} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := yield(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(weight); string(got) != "10\n" {
		t.Errorf("it has %q, %v", got, err)
	}
	if err := r.restore(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(weight); string(got) != "1050" { // one behind the other, as a plain file has them
		t.Errorf("it has %q again, %v", got, err)
	}
}
