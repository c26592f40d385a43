package image

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	none "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"aegis/internal/fault"
)

// made is an image for a platform, with a layer for each list of files.
func made(t testing.TB, arch string, layers ...[]byte) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(none.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{
		Entrypoint: []string{"/app"}, Cmd: []string{"serve"}, Env: []string{"A=1", "B=x=y", "=odd", "odd"}, User: "1000:1000", WorkingDir: "srv", ExposedPorts: map[string]struct{}{"80/tcp": {}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range layers {
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

// hosted is a registry of this machine, and what it was asked.
type hosted struct {
	*httptest.Server
	host string

	mu    sync.Mutex
	asked []string
	spoil func(w http.ResponseWriter, r *http.Request) bool // answers in the registry's place
}

func host(t *testing.T) *hosted {
	t.Helper()
	h := &hosted{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r.Method+" "+r.URL.Path)
		spoil := h.spoil
		h.mu.Unlock()
		if spoil == nil || !spoil(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "http://")
	return h
}

// blobs counts layers and configs that were asked for, and forgets them.
func (h *hosted) blobs() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.asked {
		if strings.HasPrefix(a, "GET ") && strings.Contains(a, "/blobs/") {
			n++
		}
	}
	h.asked = nil
	return n
}

func (h *hosted) push(t *testing.T, ref string, img v1.Image) string {
	t.Helper()
	parsed, err := name.ParseReference(h.host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, img); err != nil {
		t.Fatal(err)
	}
	return h.host + "/" + ref
}

// pushIndex makes a list of images for several platforms.
func (h *hosted) pushIndex(t *testing.T, ref string, images map[string]v1.Image) string {
	t.Helper()
	var index v1.ImageIndex = none.Index
	for arch, img := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	parsed, _ := name.ParseReference(h.host + "/" + ref)
	if err := remote.WriteIndex(parsed, index); err != nil {
		t.Fatal(err)
	}
	return h.host + "/" + ref
}

// TestPull holds what a pull brings, by each way to name it, also when its registry has
// gone.
func TestPull(t *testing.T) {
	s, h := newStore(t), host(t)
	ref := h.push(t, "team/app:1", made(t, "amd64", rootTar(t, "app", "gone"), rootTar(t, ".wh.gone", "new")))
	img, err := s.Pull(t.Context(), ref, "linux/amd64", PullMissing, quiet)
	if err != nil || !slices.Equal(img.Names, []string{ref}) || img.Platform != "linux/amd64" {
		t.Fatalf("%+v, %v", img, err)
	}
	c := img.Config
	if got := fmt.Sprint(c.Entrypoint, c.Cmd, c.Env, c.User, c.Workdir, c.Expose); got != "[/app] [serve] map[A:1 B:x=y]1000:1000/srv[80/tcp]" {
		t.Error(got)
	}
	if err := Verify(t.Context(), img); err != nil {
		t.Error(err)
	}
	h.blobs()
	if _, err := s.Pull(t.Context(), ref, "linux/amd64", PullMissing, quiet); err != nil || len(h.asked) != 0 {
		t.Errorf("what is there was asked for: %v, %v", h.asked, err)
	}
	if _, err := s.Pull(t.Context(), ref, "linux/amd64", PullAlways, quiet); err != nil || h.blobs() > 1 { // its config
		t.Errorf("again: %v", err)
	}
	h.Close()
	for _, way := range []string{ref, img.Digest, img.Digest[:19], img.Digest[7:19], h.host + "/team/app@" + img.Digest} {
		if got, err := Open(s.Dir, way, "linux/amd64"); err != nil || got.Digest != img.Digest {
			t.Errorf("%s: %+v, %v", way, got, err)
		}
	}
	began := time.Now()
	if _, err := s.Pull(t.Context(), ref, "linux/amd64", PullAlways, quiet); !fault.Is(err, fault.Registry) || !strings.Contains(err.Error(), h.host+" can't be reached") || time.Since(began) > 10*time.Second {
		t.Errorf("from a registry that is gone: %v after %s", err, time.Since(began))
	}
	if _, err := s.Pull(t.Context(), h.host+"/team/other", "", PullNever, quiet); !fault.Is(err, fault.ImageMissing) {
		t.Errorf("never: %v", err)
	}
}

// TestPullShares holds that layers are fetched once, and again where they are spoilt,
// and that a name that has moved on leaves the old image to be pruned.
func TestPullShares(t *testing.T) {
	s, h := newStore(t), host(t)
	base := rootTar(t, "base")
	ref := h.push(t, "app", made(t, "amd64", base))
	one, err := s.Pull(t.Context(), ref, "linux/amd64", PullMissing, quiet)
	if err != nil {
		t.Fatal(err)
	}
	h.push(t, "app", made(t, "amd64", base, rootTar(t, "more"), base))
	h.blobs()
	two, err := s.Pull(t.Context(), ref, "linux/amd64", PullAlways, quiet)
	if n := h.blobs(); err != nil || two.Digest == one.Digest || n != 2 { // its config and one layer
		t.Errorf("%d blobs, %v", n, err)
	}
	if got, err := Open(s.Dir, ref, "linux/amd64"); err != nil || got.Digest != two.Digest {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Open(s.Dir, one.Digest, ""); err != nil || got.Path != one.Path {
		t.Errorf("the old one: %v", err)
	}
	layer := s.Layers + "/" + strings.TrimPrefix(layersOf(t, s, one)[0], digestPrefix)
	os.Chmod(layer, 0o600)
	data, _ := os.ReadFile(layer)
	data[len(data)/2]++
	os.WriteFile(layer, data, 0o600)
	h.push(t, "third", made(t, "amd64", base, rootTar(t, "third")))
	if _, err := s.Pull(t.Context(), h.host+"/third", "linux/amd64", PullMissing, quiet); err != nil || h.blobs() != 3 {
		t.Errorf("over a spoilt layer: %v", err)
	}
}

func layersOf(t *testing.T, s Store, img Image) []string {
	t.Helper()
	m, err := readManifest(place(s.Dir, img.Digest))
	if err != nil || len(m.Layers) == 0 {
		t.Fatal(m, err)
	}
	return m.Layers
}

// TestPlatforms holds that a list's image is that of the platform, by each of which a
// name may have one, and that one that is missing is said.
func TestPlatforms(t *testing.T) {
	s, h := newStore(t), host(t)
	ref := h.pushIndex(t, "multi", map[string]v1.Image{"amd64": made(t, "amd64", rootTar(t, "intel")), "arm64": made(t, "arm64", rootTar(t, "arm"))})
	var digests []string
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		img, err := s.Pull(t.Context(), ref, p, PullMissing, quiet)
		if err != nil || img.Platform != p {
			t.Fatalf("%s: %+v, %v", p, img, err)
		}
		digests = append(digests, img.Digest)
	}
	for i, p := range []string{"linux/amd64", "linux/aarch64"} {
		if img, err := Open(s.Dir, ref, p); err != nil || img.Digest != digests[i] {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, name := range []string{"", DefaultName, ref} {
		if _, err := Open(s.Dir, name, "?/ÿ"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q for no platform: %v", name, err)
		}
	}
	index := records(s.Dir)[0].Index
	if img, err := Open(s.Dir, h.host+"/multi@"+index, "linux/arm64"); err != nil || img.Digest != digests[1] {
		t.Errorf("by the list's digest: %+v, %v", img, err)
	}
	before := left(t, s)
	for r, want := range map[string]string{ref: "for linux/s390x, but for linux/a", h.push(t, "single", made(t, "arm64", rootTar(t, "arm"))): "but for linux/arm64"} {
		if _, err := s.Pull(t.Context(), r, "linux/s390x", PullMissing, quiet); !fault.Is(err, fault.ImageMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", r, err)
		}
	}
	if after := left(t, s); !slices.Equal(before, after) {
		t.Errorf("left: %v", after)
	}
}

// TestPullFails holds what each failure of a registry is, and that nothing is left.
func TestPullFails(t *testing.T) {
	h := host(t)
	good := h.push(t, "app:1", made(t, "amd64", rootTar(t, "app")))
	hostile := h.push(t, "evil:1", made(t, "amd64", rootTar(t, "app"), rootTar(t, "../x")))
	blob := func(answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				answer(w)
				return true
			}
			return false
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	for name, c := range map[string]struct {
		ref   string
		spoil func(http.ResponseWriter, *http.Request) bool
		kind  fault.Kind
		why   string
	}{
		"no such image": {h.host + "/nothing", nil, fault.ImageMissing, "does not have it"},
		"no way in":     {good, status(401), fault.Registry, "docker login"},
		"forbidden":     {good, status(403), fault.Registry, "docker login"},
		"too many":      {good, status(429), fault.Registry, "no more requests"},
		"broken":        {good, status(500), fault.Registry, "status 500"},
		"other bytes":   {good, blob(func(w http.ResponseWriter) { w.Write([]byte("other")) }), fault.ImageUnusable, "digest"},
		"endless":       {good, func(w http.ResponseWriter, r *http.Request) bool { return endless(w, r) }, fault.ImageUnusable, "more than is taken"},
		"no registry":   {good, func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, "<html>"); return true }, fault.ImageUnusable, "text/html"},
		"hostile":       {hostile, nil, fault.ImageUnusable, "goes up"},
		"not TLS":       {"192.168.0.1:1/app", nil, fault.Registry, ""},
		"another machine": {good, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
			return true
		}, fault.Registry, "reached"},
	} {
		s := newStore(t)
		h.mu.Lock()
		h.spoil = c.spoil
		h.mu.Unlock()
		_, err := s.Pull(t.Context(), c.ref, "linux/amd64", PullMissing, quiet)
		if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.why) || !strings.HasPrefix(err.Error(), "pull image ") {
			t.Errorf("%s: %v, want %s %q", name, err, c.kind, c.why)
		}
		for _, path := range left(t, s) {
			if filepath.Dir(path) != s.Layers { // whole layers may stay
				t.Errorf("%s left %s", name, path)
			}
		}
	}
}

// endless answers a manifest that never ends.
func endless(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.URL.Path, "/manifests/") {
		return false
	}
	for chunk := make([]byte, 1<<20); r.Context().Err() == nil; {
		if _, err := w.Write(chunk); err != nil {
			return true
		}
	}
	return true
}

// TestGuard holds that nothing but this machine is asked without TLS.
func TestGuard(t *testing.T) {
	for text, want := range map[string]bool{"localhost:5000": true, "127.0.0.1": true, "127.9.9.9:80": true, "[::1]:5000": true, "10.0.0.1:5000": false, "registry.local:5000": false, "localhost.example.com": false} {
		r, err := name.NewRegistry(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := loopback(r); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.0.0.1:1/v2/", nil)
	if _, err := (guarded{false}).RoundTrip(req); !fault.Is(err, fault.Registry) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("%v", err)
	}
}

// TestCredentials holds that those of docker login are used, and a helper's.
func TestCredentials(t *testing.T) {
	s, h := newStore(t), host(t)
	ref := h.push(t, "private:1", made(t, "amd64", rootTar(t, "app")))
	h.spoil = func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, ok := r.BasicAuth(); ok && user == "me" && pass == "pw" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(401)
		return true
	}
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	pull := func() error { _, err := s.Pull(t.Context(), ref, "linux/amd64", PullAlways, quiet); return err }
	if err := pull(); !fault.Is(err, fault.Registry) {
		t.Errorf("without: %v", err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("me:pw"))
	os.WriteFile(config, []byte(`{"auths":{"`+h.host+`":{"auth":"`+auth+`"}}}`), 0o600)
	if err := pull(); err != nil {
		t.Errorf("with: %v", err)
	}
	bin := t.TempDir()
	os.WriteFile(bin+"/docker-credential-test", []byte("#!/bin/sh\ncat >/dev/null\necho '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"pw\"}'\n"), 0o700)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	os.WriteFile(config, []byte(`{"credHelpers":{"`+h.host+`":"test"}}`), 0o600)
	if err := pull(); err != nil {
		t.Errorf("by a helper: %v", err)
	}
}
