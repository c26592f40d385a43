package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
)

// small mounts a file system of so many bytes and gives its directory.
func small(t *testing.T, bytes int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("pending: mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("aegis-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("pending: can't mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillUp leaves no byte free in dir and gives the file to remove for more.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(chunk)
	}
	return name
}

func TestFullDiskKeepsTheOldRecord(t *testing.T) {
	dir := small(t, 1<<20)
	s, err := Open(filepath.Join(dir, "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := record(1)
	put(t, s, r)
	filler := fillUp(t, dir)
	big := r
	big.Spec.Image = strings.Repeat("x", 200<<10)
	wantKind(t, s.Put(t.Context(), big), fault.NoSpace)
	got, err := s.Get(t.Context(), r.ID)
	if err != nil || got.Spec.Image != "" {
		t.Fatalf("the old record: image of %d bytes, %v", len(got.Spec.Image), err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	put(t, s, big)
}

// TestOpenOnAnAlmostFullDisk leaves a little more room each time, so that each
// step of Open in turn is the one that finds none.
func TestOpenOnAnAlmostFullDisk(t *testing.T) {
	opened := 0
	for _, kib := range []int64{0, 4, 8, 16, 24, 32, 40, 64, 96, 128, 160} { // at 48 goose tries for 3 s
		room := kib << 10
		dir := small(t, 1<<20)
		filler := fillUp(t, dir)
		info, err := os.Stat(filler)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filler, info.Size()-room); err != nil {
			t.Fatal(err)
		}
		s, err := Open(filepath.Join(dir, "registry.db"))
		if err == nil {
			opened++
			s.Close()
			continue
		}
		if !fault.Is(err, fault.NoSpace) {
			t.Errorf("%d bytes left: %v", room, err)
		}
	}
	if opened == 0 {
		t.Error("it never opened")
	}
}
