package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMeter counts blocks: of a file once, of holes and of what a link leads to never.
func TestMeter(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, n int) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("x", n)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	size := func(paths ...string) int64 {
		m := newMeter(t.Context())
		defer func() {
			if m.cut {
				t.Errorf("%q: not all was counted", paths)
			}
		}()
		return m.sizes(paths...)
	}
	big := write("far/big", 1<<20)
	one := write("in/deep/one", 64<<10)
	before := size(filepath.Join(dir, "in"))
	if before < 64<<10 || before > 128<<10 {
		t.Errorf("%d bytes for a file of 64 KiB", before)
	}
	if err := os.Link(one, filepath.Join(dir, "in/two")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(big), filepath.Join(dir, "in/far")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(write("in/sparse", 0), 1<<30); err != nil {
		t.Fatal(err)
	}
	if got := size(filepath.Join(dir, "in"), filepath.Join(dir, "missing")); got > before+16<<10 {
		t.Errorf("%d bytes, and %d before names, a link and a hole were added", got, before)
	}
}

// TestMeterIsBounded says so when there is more than it counts.
func TestMeterIsBounded(t *testing.T) {
	deep := t.TempDir()
	if err := os.MkdirAll(deep+strings.Repeat("/d", meterDepth+1), 0o700); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	few := newMeter(t.Context())
	few.left = 3
	for name, m := range map[string]*meter{"depth": newMeter(t.Context()), "time": newMeter(ended), "entries": few} {
		if m.sizes(deep); !m.cut {
			t.Errorf("no end by %s", name)
		}
	}
}
