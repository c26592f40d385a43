package kernel

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUnused lists older kernels of this architecture, and what is a day old and
// was not used or not finished.
func TestUnused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kernel")
	if got := Unused(dir); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	tools(t, packageFiles())
	k := ensure(t, dir)
	used, err := Initrd(t.Context(), k, harness(t, "used"), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(k.Dir, nameManifest))
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().Add(-25 * time.Hour)
	make := func(name, manifest string, at time.Time) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if manifest != "" {
			m := filepath.Join(path, nameManifest)
			if err := os.WriteFile(m, []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			os.Chtimes(m, at, at)
		}
		os.Chtimes(path, at, at)
		return path
	}
	want := []string{make("0.9-cloud", string(text), day), make(stagePrefix+"old", "", day)}
	make("0.8-cloud", strings.Replace(string(text), k.Arch, "riscv64", 1), day)
	make("0.7-cloud", "", day) // no manifest: not ours
	make(stagePrefix+"new", "", time.Now())
	old := strings.Replace(used, "initrd-", "initrd-0", 1)
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(old, day, day)
	want = append(want, old)
	got := Unused(dir)
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
