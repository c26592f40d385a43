//go:build linux

package harness

import (
	"errors"
	"strings"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// TestMountComesBeforeTheStart has it done any number of times before the one start, and
// never after it.
func TestMountComesBeforeTheStart(t *testing.T) {
	link, _ := linked(t)
	for range 2 {
		if err := errors.Join(link.Mount(t.Context(), wire.Root{}), link.Unmount(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	p, _, err := link.Start(t.Context(), wire.Start{Hostname: "box", Main: wire.Process{Args: []string{"true"}, Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, p, nil)
	for what, err := range map[string]error{"mount": link.Mount(t.Context(), wire.Root{}), "unmount": link.Unmount(t.Context())} {
		if !fault.Is(err, fault.WrongState) {
			t.Errorf("%s after the start: %v", what, err)
		}
	}
}

// TestDisksMountedAhead are those of the start, or it fails: nobody gets another's disk.
func TestDisksMountedAhead(t *testing.T) {
	root := wire.Root{Base: "base", Disk: "disk", Size: 1 << 20, BaseType: "ext4"}
	other := root
	other.Size++
	for name, c := range map[string]struct {
		root      wire.Root
		rehearsal bool
		why       string
	}{
		"the same": {root, false, ""}, "another": {other, false, "another disk"}, "a rehearsal": {root, true, "another disk"},
	} {
		m := &vm{root: &root}
		ahead, err := m.settle(c.root, c.rehearsal)
		if c.why == "" && (err != nil || !ahead || m.root != nil) || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
