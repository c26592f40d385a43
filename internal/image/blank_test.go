package image

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aegis/internal/fault"
)

const small = 256 << 20

func blank(t testing.TB, dir string, size int64) string {
	t.Helper()
	if _, err := lookSbin("mkfs.ext4"); err != nil {
		t.Skip("pending: mkfs.ext4 is not installed (package e2fsprogs)")
	}
	path, err := Blank(t.Context(), dir, size)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBlankIsReadyToMount(t *testing.T) {
	path := blank(t, t.TempDir(), 8<<30)
	info, err := os.Stat(path)
	if err != nil || info.Size() != 8<<30 {
		t.Fatalf("%v %v", info, err)
	}
	if used, err := Used(path); err != nil || used > 16<<20 {
		t.Errorf("an empty disk takes %d bytes (%v)", used, err)
	}
	got := script(t, path, `e2fsck -fn "$1" >/dev/null; dumpe2fs "$1" 2>/dev/null`)
	if strings.Contains(got, "Flags:") || strings.Count(got, "ITABLE_ZEROED") != 64 {
		t.Errorf("%d of 64 groups have their inode table ready", strings.Count(got, "ITABLE_ZEROED"))
	}
	for _, want := range []string{"Reserved block count:     0\n", "has_journal", "Total journal size:       16M"} {
		if !strings.Contains(got, want) {
			t.Errorf("dumpe2fs says nothing of %q", want)
		}
	}
}

func TestBlankIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first := blank(t, filepath.Join(dir, "other"), small) // skips without mkfs
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			path, err := Blank(t.Context(), dir, small)
			if err != nil || filepath.Base(path) != filepath.Base(first) {
				t.Errorf("%s, %v", path, err)
			}
		})
	}
	all.Wait()
	before, err := os.Stat(filepath.Join(dir, filepath.Base(first)))
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(blank(t, dir, small+1000)) // rounded down
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("made again: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%d names in the cache, want the disk and other", len(entries))
	}
}

func TestBlankReplacesACutOne(t *testing.T) {
	dir := t.TempDir()
	path := blank(t, dir, small)
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	script(t, blank(t, dir, small), `e2fsck -fn "$1"`)
}

func TestBlankRefuses(t *testing.T) {
	for _, size := range []int64{-1, 0, MinDisk - 1, MaxDisk + 1} {
		_, err := Blank(t.Context(), t.TempDir(), size)
		wantKind(t, err, fault.Invalid)
	}
}

func TestClone(t *testing.T) {
	dir := t.TempDir()
	from, to := blank(t, dir, small), filepath.Join(dir, "disk.ext4")
	if err := Clone(from, to); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(from)
	b, _ := os.ReadFile(to)
	if len(a) != small || !bytes.Equal(a, b) {
		t.Error("the copy differs")
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if used, err := Used(to); err != nil || used > 16<<20 {
		t.Errorf("the copy takes %d bytes (%v)", used, err)
	}
	if err := Clone(from, to); err == nil {
		t.Error("cloned over a disk that is there")
	}
	if c, _ := os.ReadFile(to); !bytes.Equal(b, c) {
		t.Error("the refused clone changed the disk")
	}
}

func TestCloneFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "disk.ext4")
	if err := Clone(filepath.Join(dir, "missing"), to); err == nil {
		t.Error("cloned nothing")
	}
	if err := Clone(dir, to); err == nil { // a directory opens and has a size, and can't be copied
		t.Error("cloned a directory")
	}
	empty(t, dir)
}

func BenchmarkClone8G(b *testing.B) {
	dir := b.TempDir()
	from, to := blank(b, dir, 8<<30), filepath.Join(dir, "disk")
	for b.Loop() {
		if err := Clone(from, to); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.Remove(to)
		b.StartTimer()
	}
}
