package logs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills the disk under a log and finds whole records, then a word
// about those that are missing, then the next ones.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: mounting a small tmpfs needs root")
	}
	mount := t.TempDir()
	if err := unix.Mount("aegis-test", mount, "tmpfs", 0, "size=1048576"); err != nil {
		t.Skipf("pending: can't mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "log")
	w := create(t, dir, 100<<20)
	s := w.Stream(Stdout, "")
	line := strings.Repeat("x", 10_000) + "\n"
	wrote, lost := 0, 0
	for lost < 3 {
		if n, err := s.Write([]byte(line)); n != len(line) {
			t.Fatalf("Write took %d bytes, %v", n, err)
		} else if err != nil {
			lost++
		} else {
			wrote++
		}
	}
	if got := read(t, dir, all); len(got) != wrote {
		t.Errorf("%d records, %d were written", len(got), wrote)
	}
	room := make([]byte, 64<<10)
	if err := os.WriteFile(filepath.Join(mount, "room"), room, 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	os.Remove(filepath.Join(mount, "room"))
	if err := unix.Mount("aegis-test", mount, "tmpfs", unix.MS_REMOUNT, "size=2097152"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "again\n")
	got := read(t, dir, Query{Tail: 2})
	if len(got) != 2 || got[0].Stream != System || !strings.HasPrefix(got[0].Line, "3 records") || got[1].Line != "again" {
		t.Errorf("at the end: %q", names(got))
	}
}
