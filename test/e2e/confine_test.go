package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"aegis/client"
)

// TestConfined holds that every process that handles a guest's bytes has no power over
// the host while its instance runs, and that it is said how it is held.
func TestConfined(t *testing.T) {
	h := newHome(t)
	h.serve("web")
	var status client.Status
	if err := json.Unmarshal([]byte(h.ok("status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if rung := h.info("web").Confinement; rung != "full" || status.Confinement != rung {
		if status.Confinement != "full" {
			t.Skipf("pending: this machine allows %q: %q", status.Confinement, status.Warnings)
		}
		t.Errorf("info says %q, status %q", rung, status.Confinement)
	}
	roles := []string{}
	for _, p := range h.processes() {
		role := p.role()
		switch role {
		case "aegis-shim":
			sealed(t, p.pid)
		case "vmm", "fs", "net":
			held(t, role, p.pid)
		default:
			continue
		}
		roles = append(roles, role)
	}
	slices.Sort(roles)
	if !slices.Equal(roles, []string{"aegis-shim", "fs", "net", "vmm"}) {
		t.Errorf("the processes are %v", roles)
	}
	h.kernelLimits()
	groups := h.groups()
	h.limited(status, groups)
	h.ok("instance", "stop", "web")
	h.gone(groups)
}

// capKill is CAP_KILL (linux/capability.h).
const capKill = 5

// sealed holds that a shim has its filter, which TestSealed of package confine tries, and
// of capabilities at most that to end what it has started.
func sealed(t *testing.T, pid int) {
	t.Helper()
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	kill := 0
	if os.Geteuid() == 0 {
		kill = 1 << capKill
	}
	for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000",
		fmt.Sprintf("CapPrm:\t%016x", kill), fmt.Sprintf("CapEff:\t%016x", kill)} {
		if !strings.Contains(string(body), "\n"+want+"\n") {
			t.Errorf("the shim has not %q:\n%s", want, body)
		}
	}
}

// held looks at what the kernel says of a process.
func held(t *testing.T, role string, pid int) {
	t.Helper()
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(body), "\n"+want+"\n") {
			t.Errorf("%s has not %q:\n%s", role, want, body)
		}
	}
	for _, space := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		ours, err := os.Readlink("/proc/self/ns/" + space)
		theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, space))
		if err != nil || err2 != nil || ours == theirs {
			t.Errorf("%s shares the %s namespace: %v %v", role, space, err, err2)
		}
	}
	if mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid)); err != nil || strings.Contains(string(mounts), " /proc ") || strings.Contains(string(mounts), " /root ") {
		t.Errorf("%s sees %s %v", role, mounts, err)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	said := strings.Join(strings.Fields(string(limits)), " ") // 0 where whoever started all has set that
	if err != nil || !strings.Contains(said, "Max core file size 1 1 bytes") && !strings.Contains(said, "Max core file size 0 0 bytes") {
		t.Errorf("%s may leave a core: %s %v", role, limits, err)
	}
}
