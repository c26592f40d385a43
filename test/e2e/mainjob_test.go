package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secretValue is looked for byte by byte wherever it must not be.
const secretValue = "hunter2-correct-horse-battery-staple"

// TestMainJob is the one command that Aegis is for.
func TestMainJob(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "app/index.html"), "first\n")
	if r := h.run(secretValue, "secret", "set", "API_KEY"); r.code != 0 {
		t.Fatalf("secret set: %+v", r)
	}
	out := h.ok("instance", "start", "--name", "web", "--workspace", "./app", "--expose", "80", "--secret", "API_KEY",
		"--", "python", "-m", "http.server", "80")
	url := h.url("web")
	if !strings.Contains(out, url) || !strings.Contains(out, "web") {
		t.Errorf("start printed %q, want the name and %s", out, url)
	}
	h.page(url, "first\n")

	t.Run("an edit is in the next answer", func(t *testing.T) {
		h.write(filepath.Join(h.cwd, "app/index.html"), "second, and longer\n")
		h.page(url, "second, and longer\n")
	})
	t.Run("a file of the guest is the caller's", func(t *testing.T) {
		h.ok("exec", "web", "--", "sh", "-c", "pwd > here; mkdir -p d/e; echo deep > d/e/f")
		for path, want := range map[string]string{"app/here": "/workspace\n", "app/d/e/f": "deep\n"} {
			body, err := os.ReadFile(filepath.Join(h.cwd, path))
			if err != nil || string(body) != want {
				t.Errorf("%s: %q, %v; want %q", path, body, err, want)
			}
			info, err := os.Stat(filepath.Join(h.cwd, path))
			if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
				t.Errorf("%s is not ours: %+v %v", path, info, err)
			}
		}
	})
	t.Run("the secret is in the environments and nowhere else", func(t *testing.T) {
		server := h.ok("exec", "web", "--", "sh", "-c", `for p in /proc/[0-9]*; do if tr '\0' ' ' <$p/cmdline | grep -q http.server; then tr '\0' '\n' <$p/environ; fi; done`)
		if !strings.Contains(server, "API_KEY="+secretValue+"\n") {
			t.Errorf("the server's environment lacks the secret:\n%s", server)
		}
		if got := h.ok("exec", "web", "--", "printenv", "API_KEY"); got != secretValue+"\n" {
			t.Errorf("an exec's environment: %q", got)
		}
		h.ok("exec", "web", "--", "sync")
		h.absent(secretValue)
		if strings.Contains(h.ok("instance", "info", "web", "--json"), secretValue) {
			t.Error("info shows the secret")
		}
	})
	t.Run("it says what it is", func(t *testing.T) {
		info := h.info("web")
		if info.State != "RUNNING" || info.Net != "public" || info.Isolation == "" || info.Accelerator == "" || len(info.Secrets) != 1 {
			t.Errorf("info: %+v", info)
		}
	})
	t.Run("delete leaves the workspace alone", func(t *testing.T) {
		h.ok("instance", "delete", "--force", "web")
		h.bare()
		if _, err := os.Stat(filepath.Join(h.cwd, "app/index.html")); err != nil {
			t.Error(err)
		}
	})
}

// absent searches every file below the home and every process of the host.
func (h *home) absent(secret string) {
	h.t.Helper()
	needle := []byte(secret)
	filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		found, err := contains(path, needle)
		if err != nil {
			h.t.Error(err)
		}
		if found {
			h.t.Errorf("the secret is in %s", path)
		}
		return nil
	})
	for _, p := range all() {
		if strings.Contains(p.args, secret) {
			h.t.Errorf("the secret is in the arguments of %v", p)
		}
		if strings.Contains(p.environ, secret) {
			h.t.Errorf("the secret is in the environment of %v", p)
		}
	}
}

// contains reads what a file holds between its holes (lseek(2), SEEK_DATA): an
// instance's disk is sparse.
func contains(path string, needle []byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, nil // gone meanwhile
	}
	defer f.Close()
	const chunk = 1 << 20
	buf := make([]byte, chunk+len(needle))
	var at int64
	for {
		at, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("search %s: %w", path, err)
		}
		n, err := f.ReadAt(buf, at)
		if bytes.Contains(buf[:n], needle) {
			return true, nil
		}
		if err != nil {
			return false, nil // the end
		}
		at += chunk
	}
}

// bare wants no process but the daemon, and no file of an instance or a run.
func (h *home) bare() {
	h.t.Helper()
	h.one("aegisd")
	if err := h.left(); err != nil {
		h.t.Error(err)
	}
}

// left says what is there beside the daemon.
func (h *home) left() error {
	var errs []error
	if left := h.processes(); len(left) != 1 {
		errs = append(errs, fmt.Errorf("processes are left: %v", left))
	}
	for _, dir := range []string{"instances", "run", "tmp-workspaces"} {
		entries, _ := os.ReadDir(filepath.Join(h.dir, dir))
		for _, entry := range entries {
			errs = append(errs, fmt.Errorf("%s/%s is left", dir, entry.Name()))
		}
	}
	return errors.Join(errs...)
}

// becomesBare is bare, once what ends behind an answer has ended.
func (h *home) becomesBare() {
	h.t.Helper()
	h.eventually(30*time.Second, "nothing is left", h.left)
}
