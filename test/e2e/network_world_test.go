package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The plan of the test's internet. The addresses are public ones, and lead nowhere
// but into a namespace.
const (
	webAddr  = "93.184.216.34" // of web.test
	lanAddr  = "10.77.0.1"     // of lan.test
	ownAddr  = "93.184.217.2"  // the host's
	hopAddr  = "93.184.217.1"
	web6Addr = "2606:2800:220:1::34" // of six.test
	own6Addr = "2606:2800:221:1::2"
	hop6Addr = "2606:2800:221:1::1"
)

// page is what the web server of the test's internet answers.
const page = "hello from outside\n"

// caller is who runs Aegis.
type caller int

const (
	asRoot caller = iota
	asUser        // a user without capabilities, in a namespace of users where it is not root
)

// world is a host with an internet behind it (testdata/world).
type world struct {
	dir   string   // of its servers; what is below files they serve
	enter []string // the command that runs a command there
}

// files is where the web server's files are.
func (w world) files(name ...string) string {
	return filepath.Join(append([]string{w.dir, "files"}, name...)...)
}

// online gives the home a host of its own in such a world: every command of it, and
// so its daemon, runs there.
func (h *home) online(who caller) world {
	h.t.Helper()
	w := newWorld(h.t, who)
	h.join(w, who)
	return w
}

// join has the home's commands run in a world, which must outlive it.
func (h *home) join(w world, who caller) {
	h.within = append(slices.Clone(w.enter), "--wdns="+h.cwd)
	if who == asUser {
		h.within = append(h.within, "unshare", "-U", "--map-user=1000", "--map-group=1000", "setpriv", "--no-new-privs")
	}
	h.t.Cleanup(func() {
		h.run("", "down")
		h.within = nil
	})
}

// newWorld makes a world that ends with the test.
func newWorld(t *testing.T, who caller) world {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "setpriv", "ip", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("pending: " + err.Error())
		}
	}
	split, join := []string{"-nm"}, []string{"-n", "-m"}
	if who == asUser {
		split, join = []string{"-rUnm"}, []string{"-U", "--preserve-credentials", "-n", "-m"}
		if out, err := exec.Command("unshare", "-rUnm", "true").CombinedOutput(); err != nil {
			t.Skipf("pending: no user namespaces here: %s", out)
		}
	} else if os.Getuid() != 0 {
		t.Skip("pending: root's namespaces are root's to make")
	}
	dir, err := os.MkdirTemp("", "aegis-world-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(dir, os.DirFS("testdata/world")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", append(split, "sh", filepath.Join(dir, "world.sh"), dir, webAddr, lanAddr, ownAddr, hopAddr, web6Addr, own6Addr, hop6Addr)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Skip("pending: no namespaces: " + err.Error())
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if n, _ := stdout.Read(make([]byte, 16)); n == 0 {
		t.Fatal("the test's internet did not come up")
	}
	return world{dir, append([]string{"nsenter", "-t", fmt.Sprint(cmd.Process.Pid)}, join...)}
}

// fetch is a line of shell that prints a page, or how it was not reached.
func fetch(url string) string {
	return "curl -sS -m 20 -o /tmp/page " + url + " 2>&1 && cat /tmp/page; "
}
