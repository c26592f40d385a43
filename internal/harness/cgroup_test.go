//go:build linux

package harness

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestGroupsAreMadeAhead holds that each process has a group of its own, that one
// is there before it is needed, and that none stays.
func TestGroupsAreMadeAhead(t *testing.T) {
	c := &cgroups{dir: t.TempDir()}
	take := func() *cgroup {
		t.Helper()
		g, err := c.take()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	dirs := func(want ...string) {
		t.Helper()
		got, _ := filepath.Glob(c.dir + "/*")
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("there are %v, want %v", got, want)
		}
	}
	first, second := take(), take()
	dirs(first.path, second.path)
	first.release()
	spare := filepath.Join(c.dir, "3")
	dirs(second.path, spare)
	second.release()
	dirs(spare)
	if g := take(); g.path != spare {
		t.Errorf("it got %s, and %s was there", g.path, spare)
	}
	if g := take(); g.path == spare {
		t.Error("two processes share a group")
	}
	if g, err := (&cgroups{}).take(); g != nil || err != nil {
		t.Errorf("without a directory: %v, %v", g, err)
	}
	if g, err := (&cgroups{dir: filepath.Join(c.dir, "none")}).take(); g != nil || err == nil {
		t.Errorf("where none can be made: %v", g)
	}
}
