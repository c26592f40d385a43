package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aegis/client"
)

// check is what doctor says of one prerequisite.
func (h *home) check(name string) client.Check {
	h.t.Helper()
	r := h.run("", "doctor", "--json")
	var checks []client.Check
	if err := json.Unmarshal([]byte(r.stdout), &checks); err != nil {
		h.t.Fatalf("doctor --json: %v\n%s%s", err, r.stdout, r.stderr)
	}
	failed := 0
	var found client.Check
	for _, c := range checks {
		if c.Status == "fail" {
			failed = 1
		}
		if c.Status != "ok" && c.Fix == "" {
			h.t.Errorf("doctor knows no help: %+v", c)
		}
		if c.Name == name {
			found = c
		}
	}
	if r.code != failed {
		h.t.Errorf("doctor: exit status %d, want %d", r.code, failed)
	}
	if found.Name == "" {
		h.t.Errorf("doctor does not look at %s: %+v", name, checks)
	}
	return found
}

// sick wants one check to fail and name its cure, and doctor to fail in words too.
func (h *home) sick(name, detail, fix string) {
	h.t.Helper()
	c := h.check(name)
	if c.Status != "fail" || !strings.Contains(c.Detail, detail) || c.Fix != fix {
		h.t.Errorf("%+v, want fail with %q and %q", c, detail, fix)
	}
	r := h.run("", "doctor")
	if r.code != 1 || !strings.Contains(r.stdout, "fail  "+name+": ") || !strings.Contains(r.stdout, "fix: "+fix+"\n") {
		h.t.Errorf("doctor: exit status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestDoctor breaks one prerequisite after the other: doctor fails, names it, and
// says the command that mends it. It starts no daemon.
func TestDoctor(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	own := h.ownCache()
	if r := h.run("", "doctor"); r.code != 0 || strings.Contains(r.stdout, "fail") {
		t.Errorf("where instances start, doctor says %d:\n%s", r.code, r.stdout)
	}
	if c := h.check("accelerator"); c.Status == "warn" && !strings.Contains(c.Detail, "no hardware virtualization") {
		t.Errorf("%+v", c)
	}

	h.onPath() // nothing
	kernel, image := one(t, own, "kernel", "[0-9]*", "vmlinuz"), one(t, own, "images", "*", "root.*")
	h.sick("backend", "is not on PATH", "sudo apt-get install qemu-system-x86")
	if err := os.Remove(kernel); err != nil {
		t.Fatal(err)
	}
	h.sick("kernel", kernel+": it is missing", "sudo apt-get install apt && aegis setup")
	cut(t, image, 4096)
	h.sick("default image", image+" has 4096 bytes", "sudo apt-get install mmdebstrap && aegis setup")
	h.onPath(monitor(t), "apt-get", "mmdebstrap")
	h.sick("kernel", kernel+": it is missing", "aegis setup")
	h.sick("default image", image+" has 4096 bytes", "aegis setup")
	if left := h.processes(); len(left) != 0 {
		t.Errorf("doctor left %v", left)
	}
}

// TestStatusAndSetup reads the daemon's own description, and sets up twice what is there.
func TestStatusAndSetup(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.refuses(refusal{"", 1, `reach the daemon: no daemon answers at ` + h.dir + `/aegisd.sock`, "aegis up", words("status --no-autostart")})
	h.refuses(refusal{"", 125, `reach the daemon: no daemon answers at ` + h.dir + `/aegisd.sock`, "aegis up", words("--no-autostart run -- true")})
	if left := h.processes(); len(left) != 0 {
		t.Fatalf("--no-autostart started %v", left)
	}
	for range 2 {
		if r := h.run("", "setup"); r.code != 0 || r.stdout != "" || !strings.HasSuffix(r.stderr, "ready\n") {
			t.Errorf("setup: %+v", r)
		}
	}
	var s client.Status
	if err := json.Unmarshal([]byte(h.ok("status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	daemon := h.one("aegisd")
	if s.PID != daemon.pid || s.Home != h.dir || s.Cache != cache || s.Socket != filepath.Join(h.dir, "aegisd.sock") ||
		!s.Ready || s.Backend == "" || s.Accelerator == "" || s.Isolation == "" || len(s.Warnings) != 0 || len(s.Instances) != 4 {
		t.Errorf("status: %+v, daemon %v", s, daemon)
	}
	h.ok("status", "--no-autostart")
	h.ok("up") // again is no error
	if again := h.one("aegisd"); again.pid != daemon.pid {
		t.Errorf("up started another daemon: %v", again)
	}
}
