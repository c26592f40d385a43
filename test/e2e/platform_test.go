package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

// foreign is the platform that this machine is not of: what its programs call the
// processor, and who emulates that.
var foreign = map[string]struct{ platform, machine, emulator string }{
	"amd64": {"linux/arm64", "aarch64", "qemu-system-aarch64"},
	"arm64": {"linux/amd64", "x86_64", "qemu-system-x86_64"},
}[runtime.GOARCH]

// setUpTime bounds the making of another architecture's kernel and image: both are
// fetched, and 1,300 files of Python compiled.
const setUpTime = 15 * time.Minute

// foreignCache is where the tests' cache keeps another architecture's kernel and image, so
// that no other test meets them.
const foreignCache = "foreign"

// farHome has a server of the foreign platform, which answers.
func farHome(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	h.set("AEGIS_CACHE", filepath.Join(cache, foreignCache))
	// Python takes its time where each of its instructions is another processor's.
	h.config(`front-door = "127.0.0.1:0"`, `wake-timeout = "50s"`, `boot-timeout = "3m"`)
	ctx, cancel := context.WithTimeout(t.Context(), setUpTime)
	defer cancel()
	if out, err := h.command(ctx, "setup", "--platform", foreign.platform).CombinedOutput(); err != nil {
		t.Skipf("pending: no kernel or image for %s: %s", foreign.platform, out)
	}
	h.write(filepath.Join(h.cwd, "app/index.html"), "first\n")
	h.ok("instance", "start", "--platform", foreign.platform, "--name", "far", "--workspace", "./app", "--expose", "80", "--",
		"python", "-m", "http.server", "80")
	h.eventually(5*time.Minute, "its server answers", func() error {
		if code, body, _ := h.get(h.url("far")); code != http.StatusOK || body != "first\n" {
			return fmt.Errorf("%d %q", code, body)
		}
		return nil
	})
	return h
}

// TestForeignGuest runs a guest of another architecture: its own kernel, harness and
// image, with workspace, exec and router, as one of the host's.
func TestForeignGuest(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(foreign.emulator); err != nil {
		t.Skipf("pending: %s is not on PATH (scripts/deps test installs it)", foreign.emulator)
	}
	h := farHome(t)
	in := func(script string) string { return strings.TrimSpace(h.ok("exec", "far", "--", "sh", "-c", script)) }

	t.Run("it is what was asked for", func(t *testing.T) {
		i := h.info("far")
		if i.Platform != foreign.platform || i.Backend != "qemu" || i.Accelerator != "tcg" || i.Isolation != "emulated" {
			t.Errorf("info: %s on %s with %s, %s", i.Platform, i.Backend, i.Accelerator, i.Isolation)
		}
		if got := in("uname -m"); got != foreign.machine {
			t.Errorf("its processor is %q, not %s", got, foreign.machine)
		}
		var s client.Status
		if err := json.Unmarshal([]byte(h.ok("status", "--json")), &s); err != nil || i.Confinement != s.Confinement {
			t.Errorf("its confinement is %q, not %q, %v", i.Confinement, s.Confinement, err)
		}
	})
	t.Run("the workspace is live", func(t *testing.T) {
		h.write(filepath.Join(h.cwd, "app/index.html"), "second, and longer\n")
		h.page(h.url("far"), "second, and longer\n")
		in("uname -m > /workspace/here")
		if got, err := os.ReadFile(filepath.Join(h.cwd, "app/here")); err != nil || string(got) != foreign.machine+"\n" {
			t.Errorf("the guest wrote %q, %v", got, err)
		}
	})
	t.Run("its image has what no package script made", func(t *testing.T) {
		got := in(`set -e; awk 'BEGIN { print "awk" }'; git --version | cut -d' ' -f1; dpkg -s curl | grep ^Status; id -un; ps -e > /dev/null
			python3 -c 'import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 100)'`)
		if want := "awk\ngit\nStatus: install ok installed\nroot\nTrue"; got != want {
			t.Errorf("%q, not %q", got, want)
		}
	})
	t.Run("it pauses, and stops as the guest ends it", func(t *testing.T) {
		h.ok("instance", "pause", "far")
		h.page(h.url("far"), "second, and longer\n")
		h.ok("exec", "far", "--", "sh", "-c", "echo kept > /root/file")
		h.ok("instance", "stop", "far")
		if i := h.info("far"); i.State != "STOPPED" || i.Exit == nil || i.Exit.Reason != "stopped" {
			t.Errorf("it is %s, %+v", i.State, i.Exit)
		}
		h.ok("instance", "start", "--name", "far")
		if got := in("cat /root/file; uname -m"); got != "kept\n"+foreign.machine {
			t.Errorf("after a start it has %q", got)
		}
	})
}

// TestPlatformIsRefused before anything is made.
func TestPlatformIsRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.fails(2, []string{"linux/amd64 or linux/arm64"}, "instance", "start", "--platform", "linux/s390x", "--", "true")
}
