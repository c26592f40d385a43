package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

func TestOpen(t *testing.T) {
	h := newHome(t)
	img := h.must(t, writes("root"))
	for _, ref := range []string{"", DefaultName, img.Digest} {
		got, err := Open(h.dir, ref, "")
		if err != nil || got.Path != img.Path || got.Config.Env["PATH"] == "" {
			t.Errorf("Open(%q) = %+v, %v", ref, got, err)
		}
	}
}

func TestOpenRefusesWhatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	other := digestPrefix + strings.Repeat("0", 64)
	for ref, kind := range map[string]fault.Kind{
		"": fault.AssetMissing, DefaultName: fault.AssetMissing, other: fault.ImageMissing, "x@" + other: fault.ImageMissing,
		"alpine": fault.ImageMissing, "alpine:3": fault.ImageMissing, strings.Repeat("0", 12): fault.ImageMissing,
		"../x": fault.Invalid, "/x": fault.Invalid, strings.ToUpper(other): fault.Invalid, digestPrefix + "../../../../etc": fault.Invalid,
		strings.Repeat("x", 600): fault.Invalid, "DEFAULT": fault.Invalid,
	} {
		_, err := Open(dir, ref, "")
		if !fault.Is(err, kind) {
			t.Errorf("Open(%q): %v, want %s", ref, err, kind)
		}
	}
}

func TestOpenFindsDamage(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(dir string) error
		kind fault.Kind
	}{
		"cut short":      {func(d string) error { return os.Truncate(filepath.Join(d, fileRoot), 3) }, fault.AssetDamaged},
		"grown":          {func(d string) error { return os.Truncate(filepath.Join(d, fileRoot), 5) }, fault.AssetDamaged},
		"gone":           {func(d string) error { return os.Remove(filepath.Join(d, fileRoot)) }, fault.AssetMissing},
		"empty manifest": {func(d string) error { return rewrite(d, "") }, fault.AssetDamaged},
		"cut manifest":   {func(d string) error { return rewrite(d, `{"name":"default","size":4`) }, fault.AssetDamaged},
		"other's manifest": {func(d string) error {
			return rewrite(d, `{"name":"default","digest":"sha256:`+strings.Repeat("0", 64)+`","type":"ext4","size":4}`)
		}, fault.AssetDamaged},
		"no manifest": {func(d string) error { return os.Remove(filepath.Join(d, fileManifest)) }, fault.AssetMissing},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			img := h.must(t, writes("root"))
			os.Chmod(img.Path, 0o600)
			if err := c.hurt(filepath.Dir(img.Path)); err != nil {
				t.Fatal(err)
			}
			for _, ref := range []string{"", img.Digest} {
				if _, err := Open(h.dir, ref, ""); !fault.Is(err, c.kind) && !(name == "no manifest" && ref != "" && fault.Is(err, fault.ImageMissing)) {
					t.Errorf("Open(%q): %v, want %s", ref, err, c.kind)
				}
			}
			h.must(t, writes("root"))
			if _, err := Open(h.dir, "", ""); err != nil {
				t.Errorf("after Ensure: %v", err)
			}
		})
	}
}

// rewrite replaces the manifest in dir.
func rewrite(dir, text string) error {
	path := filepath.Join(dir, fileManifest)
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func TestOpenPrefersThisRecipe(t *testing.T) {
	h := newHome(t)
	now := time.Now()
	place := func(content, recipe string, created time.Time) string {
		img := h.must(t, writes(content))
		dir := filepath.Dir(img.Path)
		m, err := readManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		m.Recipe, m.Created = recipe, created
		os.Remove(filepath.Join(dir, fileManifest))
		if err := m.write(dir); err != nil {
			t.Fatal(err)
		}
		return img.Digest
	}
	opened := func() string {
		img, err := Open(h.dir, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return img.Digest
	}
	place("old", "earlier", now.Add(-2*time.Hour))
	older := place("older", "earlier", now.Add(-time.Hour))
	if got := opened(); got != older {
		t.Errorf("of two old images %s was opened, want the newer %s", got, older)
	}
	current := place("current", defaultRecipe.id(), now.Add(-3*time.Hour))
	if got := opened(); got != current {
		t.Errorf("%s was opened, want this recipe's %s", got, current)
	}
}

func TestVerify(t *testing.T) {
	h := newHome(t)
	img := h.must(t, writes("root"))
	if err := Verify(t.Context(), img); err != nil {
		t.Error(err)
	}
	os.Chmod(img.Path, 0o600)
	if err := os.WriteFile(img.Path, []byte("r00t"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(h.dir, "", ""); err != nil {
		t.Errorf("Open reads more than the size: %v", err)
	}
	wantKind(t, Verify(t.Context(), img), fault.AssetDamaged)
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"name":"default","digest":"sha256:` + strings.Repeat("a", 64) + `","type":"ext4","size":4}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err == nil && (m.Size <= 0 || filepath.Dir(place("/x", m.Digest)) != "/x") {
			t.Errorf("accepted %q", data)
		}
	})
}
