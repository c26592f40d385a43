package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"aegis/client"
)

// groups are the control groups of the home's runs, as directories, each once.
func (h *home) groups() []string {
	seen := map[string]bool{}
	var out []string
	for _, p := range h.processes() {
		if dir := p.groupDir(); strings.HasPrefix(filepath.Base(dir), "run-") && !seen[dir] {
			seen[dir] = true
			out = append(out, dir)
		}
	}
	return out
}

// gone wants control groups to be removed.
func (h *home) gone(groups []string) {
	h.t.Helper()
	h.eventually(12*time.Second, "the control groups are gone", func() error {
		for _, dir := range groups {
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there: %v", dir, err)
			}
		}
		return nil
	})
}

// limited wants all processes of one running instance in one group, as status, doctor
// and info say, or that they say why not.
func (h *home) limited(status client.Status, groups []string) {
	h.t.Helper()
	check, held := h.check("limits"), h.info("web").Limits
	if len(status.Limits) < 3 && (status.LimitsLack == "" || check.Status != "warn") {
		h.t.Errorf("limits are %q, and nothing says why: %+v", status.Limits, check)
	}
	if len(status.Limits) == 0 {
		h.t.Logf("pending: %s", status.LimitsLack)
		if held != nil || len(groups) > 0 {
			h.t.Errorf("info says %+v, groups %q", held, groups)
		}
		return
	}
	if held == nil || len(groups) != 1 {
		h.t.Fatalf("info says %+v, groups %q", held, groups)
	}
	for _, p := range h.processes() {
		if dir := p.groupDir(); dir != groups[0] && p.role() != "aegisd" {
			h.t.Errorf("%v is in %s", p, dir)
		}
	}
	if has := h.info("web").Memory; held.Memory > 0 && held.Memory <= has {
		h.t.Errorf("a guest of %d bytes can have %d", has, held.Memory)
	}
}

// kernelLimits runs the test of package cgroup in the guest of web, whose kernel lets root divide
// what it has, whatever the host allows.
func (h *home) kernelLimits() {
	h.t.Helper()
	if _, err := exec.LookPath("go"); err != nil { // in the lab
		h.t.Log("pending: the test of package cgroup can't be built: ", err)
		return
	}
	program := filepath.Join(h.cwd, "web", "cgroup.test")
	build := exec.Command("go", "test", "-c", "-o", program, "aegis/internal/cgroup")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("build a test: %v\n%s", err, out)
	}
	out := h.ok("exec", "web", "--", "/workspace/cgroup.test", "-test.v", "-test.run", "TestKernel")
	if !strings.Contains(out, "--- PASS: TestKernel") {
		h.t.Error(out)
	}
}
