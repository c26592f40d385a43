//go:build linux

package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWatch holds what counts as a change of a group, and of which.
func TestWatch(t *testing.T) {
	w := newWatch()
	if w == nil {
		t.Fatal("there is no inotify")
	}
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	write := func(name string) error { return os.WriteFile(name, []byte("1"), 0) }
	for name, c := range map[string]struct {
		change func(dir string) error
		want   bool
	}{
		"nothing":    {func(string) error { return nil }, true},
		"read":       {func(dir string) error { _, err := os.ReadFile(at(dir, "memory.max")); return err }, true},
		"a counter":  {func(dir string) error { return write(at(dir, "memory.events.local")) }, true},
		"a limit":    {func(dir string) error { return write(at(dir, "memory.max")) }, false},
		"a subgroup": {func(dir string) error { return os.Mkdir(at(dir, "a.events"), 0o755) }, false},
		"its owner":  {func(dir string) error { return os.Chmod(dir, 0o700) }, false},
		"a file's":   {func(dir string) error { return os.Chmod(at(dir, "memory.max"), 0o644) }, false},
	} {
		dir, beside := t.TempDir(), t.TempDir()
		for _, file := range []string{"memory.max", "memory.events.local"} {
			if err := os.WriteFile(at(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mark, other := w.add(dir), w.add(beside)
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := w.untouched(mark); got != c.want {
				t.Errorf("%s: untouched %t, want %t", name, got, c.want)
			}
		}
		if !w.untouched(other) {
			t.Errorf("%s: it counts for another", name)
		}
		os.RemoveAll(dir)
		w.untouched(other)
		if w.touched[mark] {
			t.Errorf("%s: it is remembered after the directory is gone", name)
		}
	}
	if w.untouched(0) || (*watch)(nil).untouched(1) || (*watch)(nil).add(t.TempDir()) != 0 {
		t.Error("what is not watched can have changed")
	}
	w.note([]byte("\xff\xff\xff\xff\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) // IN_Q_OVERFLOW
	if w.untouched(w.add(t.TempDir())) {
		t.Error("events were dropped, and nothing has changed")
	}
}
