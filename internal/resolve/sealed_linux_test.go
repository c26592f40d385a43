package resolve

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"aegis/internal/confine"
)

// sealedIn tells a child of TestSealed which directory has its files.
const sealedIn = "RESOLVE_TEST_SEALED"

// TestFiles holds that the directory to which a link leads is named, for there it is replaced.
func TestFiles(t *testing.T) {
	link, real := t.TempDir(), t.TempDir()
	h := &Host{Conf: filepath.Join(link, "resolv.conf"), Hosts: filepath.Join(link, "hosts")}
	if err := os.WriteFile(filepath.Join(real, "stub.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(real, "stub.conf"), h.Conf); err != nil {
		t.Fatal(err)
	}
	if got, want := h.Files(), []string{h.Conf, real, h.Hosts}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSealed holds that a sealed process follows a file that is written anew in its place,
// and goes on with the old one when another has taken that, which it may not read.
func TestSealed(t *testing.T) {
	if dir := os.Getenv(sealedIn); dir != "" {
		sealedChild(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestSealed$", "-test.v")
	cmd.Env = append(os.Environ(), sealedIn+"="+dir)
	for name, text := range map[string]string{"resolv.conf": "search first.test\n", "new": "search third.test\n", "hosts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
}

func sealedChild(t *testing.T, dir string) {
	h := &Host{Conf: filepath.Join(dir, "resolv.conf"), Hosts: filepath.Join(dir, "hosts")}
	reach := confine.Reach{Read: h.Files()}
	written, err := os.OpenFile(h.Conf, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := confine.Seal(confine.NoNamespaces, reach); err != nil {
		t.Skip("pending: this machine has no Landlock, or the test was built with cgo: ", err)
	}
	if _, err := fmt.Fprintln(written, "search second.test"); err != nil {
		t.Fatal(err)
	}
	if got := h.Settings().Search; !slices.Equal(got, []string{"second.test"}) {
		t.Errorf("written anew: %q", got)
	}
	if _, err := os.Open(filepath.Join(dir, "new")); err == nil {
		t.Error("it may read what it was not told of")
	}
	h.Conf = filepath.Join(dir, "new") // in the place of the old one
	if got := h.Settings().Search; !slices.Equal(got, []string{"second.test"}) {
		t.Errorf("one that may not be read: %q", got)
	}
}
