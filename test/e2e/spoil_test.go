package e2e

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// set gives a variable another value for this home's commands.
func (h *home) set(name, value string) { h.env = append(h.env, name+"="+value) } // the last one counts (os/exec)

// move makes dir, which may not exist yet, this home.
func (h *home) move(dir string) {
	h.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	h.dir = dir
	h.config(`front-door = "127.0.0.1:0"`)
	h.set("AEGIS_HOME", dir)
}

// ownCache gives the home a cache of its own with the shared one's kernel and
// image: links where they can be made, so that it costs nothing. What is spoiled in it
// must be removed first.
func (h *home) ownCache() string {
	h.t.Helper()
	own := filepath.Join(filepath.Dir(h.cwd), "cache")
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(cache, path)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains([]string{"stage", "debian13", "libkrun", foreignCache}, rel): // not this platform's Aegis's
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(filepath.Join(own, rel), 0o700)
		case strings.HasPrefix(rel, "blank") || os.Link(path, filepath.Join(own, rel)) == nil:
			return nil // a blank disk is made in no time, and a copy of one is large
		}
		return copyFile(path, filepath.Join(own, rel))
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.set("AEGIS_CACHE", own)
	return own
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode())
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}

// onPath lets the home's commands find these programs and no others.
func (h *home) onPath(programs ...string) {
	h.t.Helper()
	dir := h.t.TempDir()
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			h.t.Skipf("pending: no %s here", name)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.set("PATH", dir)
}

// monitor is the program of the backend qemu on this architecture.
func monitor(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/bin/qemu-system-*")
	for _, name := range []string{"qemu-system-x86_64", "qemu-system-aarch64"} {
		for _, path := range found {
			if filepath.Base(path) == name {
				return name
			}
		}
	}
	t.Skip("pending: no QEMU here")
	return ""
}

// one file of the cache that fits the pattern.
func one(t *testing.T, pattern ...string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(pattern...))
	if len(found) != 1 {
		t.Fatalf("%v fits %v", pattern, found)
	}
	return found[0]
}

// cut leaves the first n bytes of a file, and others' links of it alone.
func cut(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, n)
	if _, err := io.ReadFull(f, head); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, head, 0o600); err != nil {
		t.Fatal(err)
	}
}

// buildOther builds every program as another version, once.
var buildOther = sync.OnceValue(func() (err error) {
	if other, err = os.MkdirTemp("", "aegis-e2e-other-"); err != nil {
		return err
	}
	build := exec.Command("../../scripts/build", other)
	build.Env = append(os.Environ(), "VERSION=another")
	build.Stderr = os.Stderr
	return build.Run()
})

// another is the home with the programs of another version.
func (h *home) another() *home {
	h.t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		h.t.Skip("pending: no Go here to build another version with")
	}
	if err := buildOther(); err != nil {
		h.t.Fatal(err)
	}
	later := *h
	later.bin = other
	return &later
}
