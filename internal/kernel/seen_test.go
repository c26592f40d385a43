package kernel

import (
	"os"
	"testing"
)

// TestHarnessChanges puts another harness in the place of one that was read.
func TestHarnessChanges(t *testing.T) {
	dir := t.TempDir()
	k := ensure(t, dir)
	path := harness(t, "first")
	first, err := Initrd(t.Context(), k, path, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := seen.of(path); !ok {
		t.Error("a harness that has not changed is read again")
	}
	if err := os.WriteFile(path, []byte("second"), 0o700); err != nil {
		t.Fatal(err)
	}
	second, err := Initrd(t.Context(), k, path, dir)
	if err != nil || second == first {
		t.Errorf("another harness gives %s too, %v", second, err)
	}
	if got := list(t, second)["init"]; got != "-rwxr-xr-x second" {
		t.Errorf("init is %q", got)
	}
}
