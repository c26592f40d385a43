package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	none "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"aegis/client"
)

// piece is an entry of a layer: a regular file, or by its header anything.
type piece struct {
	name, body string
	header     tar.Header
}

func layer(t *testing.T, pieces ...piece) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range pieces {
		h := p.header
		h.Name, h.Mode, h.Size = p.name, 0o755, int64(len(p.body))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, p.body)
	}
	w.Close()
	return out.Bytes()
}

// onlyProgram builds the one program of an image.
func (h *home) onlyProgram() string {
	h.t.Helper()
	path := filepath.Join(h.cwd, "app")
	build := exec.Command("go", "build", "-o", path, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// minimal is an image of one program, with no directory that the guest needs and no
// shell. extra is a file of its upper layer, which hides one of the lower.
func minimal(t *testing.T, app, extra string) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(none.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{
		Entrypoint: []string{"/app"}, Cmd: []string{"default"}, Env: []string{"GREETING=hello"}, User: "worker", WorkingDir: "/srv"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{
		layer(t, piece{name: "app", body: app}, piece{name: "gone", body: "x"}, piece{name: "data/old", body: "x"}, piece{name: "etc/passwd", body: "worker:x:1234:99::/:/app\n"}),
		layer(t, piece{name: ".wh.gone"}, piece{name: "data/.wh..wh..opq"}, piece{name: "data/new", body: "x"}, piece{name: extra, body: "x"}),
	} {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// said is what the program says.
type said struct {
	Args, Files   []string
	Greeting, Cwd string
	UID, GID      int
}

func (h *home) hears(text, extra string, args ...string) {
	h.t.Helper()
	var s said
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		h.t.Fatalf("%q: %v", text, err)
	}
	if !slices.Equal(s.Args, args) || s.Greeting != "hello" || s.UID != 1234 || s.GID != 99 || s.Cwd != "/srv" {
		h.t.Errorf("%+v, want the arguments %q", s, args)
	}
	for _, f := range []string{"/app", "/data/new", extra} {
		if !slices.Contains(s.Files, f) {
			h.t.Errorf("%s is not in the root: %v", f, s.Files)
		}
	}
	for _, f := range []string{"/gone", "/data/old"} {
		if slices.Contains(s.Files, f) {
			h.t.Errorf("%s is in the root: %v", f, s.Files)
		}
	}
}

func push(t *testing.T, ref string, img v1.Image) {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err == nil {
		err = remote.Write(parsed, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestImages runs an image of a registry, then without the registry, and the same from
// archives; an instance keeps what it was made from, and what it was made from stays.
func TestImages(t *testing.T) {
	h := newHome(t)
	own := h.ownCache()
	app := h.onlyProgram()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
	img := minimal(t, app, "one")
	push(t, ref, img)
	h.hears(h.ok("run", "--image", ref), "/one", "default")

	push(t, ref, minimal(t, app, "two"))
	h.ok("instance", "start", "--name", "old", "--image", ref, "--", "wait")
	h.hears(h.ok("exec", "old", "--", "/app", "once"), "/one", "once")
	h.ok("image", "pull", ref)
	server.Close()
	h.hears(h.ok("run", "--image", ref, "--", "a", "b"), "/two", "a", "b")
	h.ok("instance", "stop", "old")
	h.ok("instance", "start", "--name", "old")
	h.hears(h.ok("exec", "old", "--", "/app", "again"), "/one", "again")
	h.fails(1, []string{"old needs it", "hint: aegis ps"}, "image", "delete", h.old(ref))
	h.ok("instance", "delete", "--force", "old")

	h.imports(img)
	var all []client.Image
	if err := json.Unmarshal([]byte(h.ok("image", "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if !i.Default {
			h.ok("image", "delete", i.Digest)
		}
	}
	if left := files(t, filepath.Join(own, "layers")); len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}
}

// old is the digest of the image that a name led to before.
func (h *home) old(ref string) string {
	h.t.Helper()
	var all []client.Image
	if err := json.Unmarshal([]byte(h.ok("image", "list", "--json")), &all); err != nil {
		h.t.Fatal(err)
	}
	for _, i := range all {
		if len(i.Names) == 0 && slices.Equal(i.UsedBy, []string{"old"}) {
			return i.Digest
		}
	}
	h.t.Fatalf("no image has lost its name to %s: %+v", ref, all)
	return ""
}

// imports takes the image in each form that there is, and runs one of them.
func (h *home) imports(img v1.Image) {
	h.t.Helper()
	tag, err := name.NewTag("saved:1")
	if err != nil {
		h.t.Fatal(err)
	}
	archive, dir := filepath.Join(h.cwd, "app.tar"), filepath.Join(h.cwd, "layout")
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		h.t.Fatal(err)
	}
	at, err := layout.Write(dir, none.Index)
	if err == nil {
		err = at.AppendImage(img)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if got := h.ok("image", "import", archive); got != "saved:1\n" {
		h.t.Errorf("%q", got)
	}
	h.ok("image", "import", "--name", "laid", dir)
	h.hears(h.ok("run", "--image", "laid", "--pull", "never", "--", "x"), "/one", "x")
	root := filepath.Join(h.cwd, "root")
	h.write(filepath.Join(root, "etc/motd"), "hello")
	h.ok("image", "import", "--name", "bare", root)
	h.fails(2, []string{"the image has none of its own"}, "run", "--image", "bare")
	h.fails(127, nil, "run", "--image", "bare", "--", "sh")
}

// files are all below a directory.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestHostileImages holds that what no image may hold is refused with the reason, and
// leaves nothing.
func TestHostileImages(t *testing.T) {
	h := newHome(t)
	own := h.ownCache()
	h.ok("up")
	before := files(t, own)
	link := func(kind byte, to string) tar.Header { return tar.Header{Typeflag: kind, Linkname: to} }
	for why, pieces := range map[string][]piece{
		"goes up":          {{name: "../../etc/cron.d/x", body: "x"}},
		"leads out":        {{name: "a", header: link(tar.TypeSymlink, "../../..")}, {name: "a/x", body: "x"}},
		"not in the image": {{name: "a", header: link(tar.TypeLink, "/etc/shadow")}},
		"device node":      {{name: "mem", header: tar.Header{Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1}}},
		"hides no name":    {{name: "a/.wh.."}},
		"overlayfs":        {{name: "a", header: tar.Header{PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/x"}}}},
	} {
		path := filepath.Join(h.cwd, "evil.tar")
		if err := os.WriteFile(path, layer(t, pieces...), 0o600); err != nil {
			t.Fatal(err)
		}
		h.fails(1, []string{"import image \"evil\"", why, "hint: aegis image list"}, "image", "import", "--name", "evil", path)
	}
	h.fails(1, []string{"no archive of a kind"}, "image", "import", filepath.Join(h.bin, "aegis"))
	if after := files(t, own); !slices.Equal(before, after) {
		t.Errorf("%v\nhas become %v", before, after)
	}
}

// TestMinimalImageFromThePool holds that an image without a shell, or any directory of
// a root, is made ahead as others are.
func TestMinimalImageFromThePool(t *testing.T) {
	h := newHome(t)
	h.ownCache()
	h.stock(1)
	if err := os.WriteFile(filepath.Join(h.cwd, "root.tar"), layer(t, piece{name: "app", body: h.onlyProgram()}), 0o600); err != nil {
		t.Fatal(err)
	}
	h.ok("image", "import", "--name", "tiny", filepath.Join(h.cwd, "root.tar"))
	for i, want := range []string{"cold", "pool"} {
		name := fmt.Sprint("tiny", i)
		h.ok("instance", "start", "--name", name, "--image", "tiny", "--", "/app", "wait")
		h.origin(name, want)
		h.ok("exec", name, "--", "/app")
		h.ok("instance", "delete", "--force", name)
		h.stocked(1, 1)
	}
	h.ok("image", "delete", "tiny")
	h.stocked(0, 0)
}
