package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestUnused lists an image that a newer one has replaced, unless it is referred to.
func TestUnused(t *testing.T) {
	h := newHome(t)
	if got := Unused(h.dir, nil); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	img := h.must(t, writes("root"))
	m, err := readManifest(filepath.Dir(img.Path))
	if err != nil {
		t.Fatal(err)
	}
	m.Recipe, m.Digest = "older", digestPrefix+"00000000000000000000000000000000000000000000000000000000000000aa"
	old := place(h.dir, m.Digest)
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.write(old); err != nil {
		t.Fatal(err)
	}
	if got := Unused(h.dir, []string{"", DefaultName, img.Digest}); !slices.Equal(got, []string{old}) {
		t.Errorf("%q, want %q", got, old)
	}
	if got := Unused(h.dir, []string{m.Digest}); len(got) != 0 {
		t.Errorf("one that is referred to: %q", got)
	}
	os.Remove(img.Path)
	if got := Unused(h.dir, nil); len(got) != 0 {
		t.Errorf("without the default: %q", got)
	}
}

func TestUnusedBlanks(t *testing.T) {
	dir := t.TempDir()
	day := time.Now().Add(-25 * time.Hour)
	for name, at := range map[string]time.Time{
		blankName(MinDisk): time.Now(), blankName(2 * MinDisk): day, blankName(3 * MinDisk): time.Now(),
		blankName(MinDisk) + ".mkfs": time.Now(), blankName(MinDisk) + ".new": day, "other": day,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	got := UnusedBlanks(dir, []int64{MinDisk + 1, 2 * MinDisk})
	want := []string{filepath.Join(dir, blankName(3*MinDisk)), filepath.Join(dir, blankName(MinDisk)+".new")}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
