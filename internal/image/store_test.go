package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
)

// inProcess is a Flattener without a process.
func inProcess(ctx context.Context, job flatten.Job, files flatten.Files, report func(done, total int64)) (flatten.Result, error) {
	if err := ctx.Err(); err != nil {
		return flatten.Result{}, err
	}
	return flatten.Do(job, files, report)
}

func quiet(string, int64, int64) {}

func newStore(t *testing.T) Store {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", "")
	dir := t.TempDir()
	return Store{Dir: dir + "/images", Layers: dir + "/layers", Stage: dir + "/stage", Flatten: inProcess}
}

// left lists all files of a store.
func left(t *testing.T, s Store) (out []string) {
	t.Helper()
	for _, dir := range []string{s.Dir, s.Layers, s.Stage} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() || err == nil && dir == s.Stage && path != dir {
				out = append(out, path)
			}
			return nil
		})
	}
	return out
}

// rootTar is a root with these files, each of which holds its name.
func rootTar(t testing.TB, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(n))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, n)
	}
	w.Close()
	return out.Bytes()
}

// TestImport holds what names an image gets, that the same archive is the same image,
// and that a failure leaves nothing.
func TestImport(t *testing.T) {
	s := newStore(t)
	root := rootTar(t, "bin/app")
	take := func(data []byte, name string) (Image, error) {
		return s.Import(t.Context(), Source{Archive: bytes.NewReader(data), Name: name, Platform: "linux/amd64"}, quiet)
	}
	img, err := take(root, "mine")
	if err != nil || !slices.Equal(img.Names, []string{"mine:latest"}) || img.Size == 0 {
		t.Fatalf("%+v, %v", img, err)
	}
	for _, ref := range []string{"mine", "mine:latest", "docker.io/library/mine", img.Digest} {
		if got, err := Open(s.Dir, ref, "linux/amd64"); err != nil || got.Digest != img.Digest {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if again, err := take(root, "other:2"); err != nil || again.Digest != img.Digest || again.Path != img.Path {
		t.Errorf("again: %+v, %v", again, err)
	}
	var saved bytes.Buffer
	tag, _ := name.NewTag("saved:3")
	if err := tarball.Write(tag, made(t, "amd64", root), &saved); err != nil {
		t.Fatal(err)
	}
	if got, err := take(saved.Bytes(), ""); err != nil || !slices.Equal(got.Names, []string{"saved:3"}) || got.Config.User != "1000:1000" {
		t.Errorf("a docker archive: %+v, %v", got, err)
	}
	if got, err := take(saved.Bytes(), "mine"); err != nil || got.Digest == img.Digest {
		t.Errorf("another image of the name: %+v, %v", got, err)
	}
	if names := fmt.Sprint(namesOf(s)); names != "[[mine:latest saved:3] [other:2]]" {
		t.Error(names)
	}
}

// TestImportFails holds what each failure is, and that nothing is left.
func TestImportFails(t *testing.T) {
	s := newStore(t)
	root := rootTar(t, "bin/app")
	take := func(data []byte, name string) (Image, error) {
		return s.Import(t.Context(), Source{Archive: bytes.NewReader(data), Name: name, Platform: "linux/amd64"}, quiet)
	}
	var saved bytes.Buffer
	tag, _ := name.NewTag("saved:3")
	if err := tarball.Write(tag, made(t, "amd64", root), &saved); err != nil {
		t.Fatal(err)
	}
	if _, err := take(root, "mine"); err != nil {
		t.Fatal(err)
	}
	before := left(t, s)
	for name, c := range map[string]struct {
		data []byte
		name string
		kind fault.Kind
	}{
		"hostile": {rootTar(t, "../x"), "x", fault.ImageUnusable}, "text": {[]byte("hello"), "x", fault.ImageUnusable},
		"cut": {saved.Bytes()[:saved.Len()/2], "x", fault.ImageUnusable}, "named default": {root, "default", fault.Invalid}, "no name": {root, "UP/..", fault.Invalid},
	} {
		if _, err := take(c.data, c.name); !fault.Is(err, c.kind) || !strings.HasPrefix(err.Error(), "import image ") && c.kind == fault.ImageUnusable {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := io.MultiReader(bytes.NewReader(root[:512]), errReader{})
	if _, err := s.Import(t.Context(), Source{Archive: broken}, quiet); !fault.Is(err, fault.File) {
		t.Errorf("a source that breaks off: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Import(ctx, Source{Archive: bytes.NewReader(root)}, quiet); !fault.Is(err, fault.Cancelled) {
		t.Errorf("cancelled: %v", err)
	}
	s.Flatten = func(context.Context, flatten.Job, flatten.Files, func(int64, int64)) (flatten.Result, error) {
		return flatten.Result{}, &os.PathError{Op: "write", Path: "root", Err: fmt.Errorf("x: %w", unix.ENOSPC)}
	}
	if _, err := take(rootTar(t, "new"), "x"); !fault.Is(err, fault.NoSpace) {
		t.Errorf("a full disk: %v", err)
	}
	if after := left(t, s); !slices.Equal(before, after) {
		t.Errorf("left: %v, was %v", after, before)
	}
}

func namesOf(s Store) (out [][]string) {
	for _, img := range s.List() {
		out = append(out, img.Names)
	}
	return out
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("the client has gone") }

// TestDelete holds that the last name takes the image and its layers, that what is in
// use stays, and that what others need does.
func TestDelete(t *testing.T) {
	s, h := newStore(t), host(t)
	nobody := func(string) []string { return nil }
	base := rootTar(t, "base")
	one := h.push(t, "one:1", made(t, "amd64", base))
	two := h.push(t, "two:1", made(t, "amd64", base, rootTar(t, "more")))
	for _, ref := range []string{one, two} {
		if _, err := s.Pull(t.Context(), ref, "", PullMissing, quiet); err != nil {
			t.Fatal(err)
		}
	}
	img, _ := s.Info(two, "")
	if _, err := s.Import(t.Context(), Source{Archive: bytes.NewReader(rootTar(t, "mine")), Name: "mine"}, quiet); err != nil {
		t.Fatal(err)
	}
	used := func(digest string) []string {
		if digest == img.Digest {
			return []string{"web", "db"}
		}
		return nil
	}
	if _, err := s.Delete(t.Context(), two, "", used); !fault.Is(err, fault.ImageInUse) || !strings.Contains(err.Error(), "web, db need it") {
		t.Errorf("in use: %v", err)
	}
	if _, err := Open(s.Dir, two, ""); err != nil {
		t.Errorf("what is in use has lost its name: %v", err)
	}
	for _, ref := range []string{"", DefaultName} {
		if _, err := s.Delete(t.Context(), ref, "", nobody); !fault.Is(err, fault.ImageInUse) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if _, err := s.Delete(t.Context(), "nothing", "", nobody); !fault.Is(err, fault.ImageMissing) {
		t.Errorf("nothing: %v", err)
	}
	second := record{Name: "index.docker.io/library/again:latest", Platform: img.Platform, Digest: img.Digest}
	if err := second.save(s.Dir); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Delete(t.Context(), "again", "", used); err != nil || gone != "" {
		t.Errorf("one of two names: %q, %v", gone, err)
	}
	if gone, err := s.Delete(t.Context(), img.Digest[7:20], "", nobody); err != nil || gone != img.Digest {
		t.Errorf("by digest: %q, %v", gone, err)
	}
	if got, err := Open(s.Dir, one, ""); err != nil || Verify(t.Context(), got) != nil {
		t.Errorf("another one: %v", err)
	}
	if layers, _ := os.ReadDir(s.Layers); len(layers) != 1 {
		t.Errorf("layers: %v", layers)
	}
	for _, ref := range []string{one, "mine"} {
		if _, err := s.Delete(t.Context(), ref, "", nobody); err != nil {
			t.Error(err)
		}
	}
	if got := left(t, s); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// TestUnusedImages holds that a prune takes images without a name, and layers of none,
// and leaves what a pull may be about to use.
func TestUnusedImages(t *testing.T) {
	s := newStore(t)
	take := func(n string) Image {
		img, err := s.Import(t.Context(), Source{Archive: bytes.NewReader(rootTar(t, n)), Name: "app"}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	old, used, last := take("old"), take("used"), take("last")
	m := manifest{Name: DefaultName, Recipe: defaultRecipe.id(), Digest: digestPrefix + strings.Repeat("a", 64), Type: "ext4", Size: 1}
	os.MkdirAll(place(s.Dir, m.Digest), 0o700)
	os.WriteFile(filepath.Join(place(s.Dir, m.Digest), fileRoot), []byte("x"), 0o600)
	if err := m.write(place(s.Dir, m.Digest)); err != nil {
		t.Fatal(err)
	}
	if got := Unused(s.Dir, []string{used.Digest}); !slices.Equal(got, []string{place(s.Dir, old.Digest)}) {
		t.Errorf("%v, want only %s and not %s", got, old.Digest, last.Digest)
	}
	stray, fresh := s.Layers+"/"+strings.Repeat("b", 64), s.Layers+"/"+strings.Repeat("c", 64)
	for _, path := range []string{stray, fresh} {
		os.WriteFile(path, nil, 0o600)
	}
	os.Chtimes(stray, time.Now(), time.Now().Add(-2*layerAge))
	if got := s.UnusedLayers(); !slices.Equal(got, []string{stray}) {
		t.Errorf("%v", got)
	}
}

// TestOrphans holds that what a killed pull left goes with the next, and not what one
// is at.
func TestOrphans(t *testing.T) {
	s := newStore(t)
	dead, live := s.Stage+"/"+workPrefix+"dead", s.Stage+"/"+workPrefix+"live"
	for _, dir := range []string{dead, live} {
		os.MkdirAll(dir, 0o700)
		os.Chtimes(dir, time.Now(), time.Now().Add(-2*orphanAge))
	}
	held, err := hold(live)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, done, err := s.work()
	if err != nil {
		t.Fatal(err)
	}
	done()
	if entries, _ := os.ReadDir(s.Stage); len(entries) != 1 || entries[0].Name() != workPrefix+"live" {
		t.Errorf("%v", entries)
	}
}

// TestShort holds how names are shown.
func TestShort(t *testing.T) {
	for text, want := range map[string]string{"alpine": "alpine:latest", "team/app:2": "team/app:2", "docker.io/library/x": "x:latest",
		"localhost:5000/a": "localhost:5000/a:latest", "ghcr.io/a/b:c": "ghcr.io/a/b:c"} {
		parsed, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := short(parsed.Name()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if again, err := parse(short(parsed.Name())); err != nil || again.Name() != parsed.Name() {
			t.Errorf("%s comes back as %v, %v", text, again, err)
		}
	}
}

// TestConfigRefused holds what no process could be started with.
func TestConfigRefused(t *testing.T) {
	for _, text := range []string{"[", `{"config":{"Cmd":["a\u0000b"]}}`, `{"config":{"User":"` + strings.Repeat("u", maxWords) + `"}}`} {
		if c, err := readConfig([]byte(text)); !fault.Is(err, fault.ImageUnusable) {
			t.Errorf("%.40s: %+v, %v", text, c, err)
		}
	}
}
