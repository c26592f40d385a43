package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGuestIsPrepared sees in a guest what its processes can't do without: the
// out-of-memory killer takes them and never the workspace's pump, each has a group
// of its own, and the clock is the processor's, not a count of ticks.
func TestGuestIsPrepared(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "app", "file"), "")
	h.ok("instance", "start", "--name", "web", "--workspace", "./app", "--", "sleep", "infinity")
	in := func(script string) string { return strings.TrimSpace(h.ok("exec", "web", "--", "sh", "-c", script)) }
	if got := in("cat /proc/self/oom_score_adj"); got != "0" {
		t.Errorf("a process's score is %q", got)
	}
	if got := in(`cat $(grep -l ^aegis-fuse-pump /proc/[0-9]*/cmdline | sed s/cmdline/oom_score_adj/)`); got != "-1000" {
		t.Errorf("the pump's score is %q", got)
	}
	if one, main := in("cat /proc/self/cgroup"), in("cat /proc/$(pgrep -x sleep)/cgroup"); one == main || !strings.HasPrefix(one, "0::/aegis/") {
		t.Errorf("an exec is in %q, and the command in %q", one, main)
	}
	h.eventually(10*time.Second, "the workspace is read ahead as far as its messages go", func() error {
		if got := in("cat /sys/class/bdi/$(mountpoint -d /workspace)/read_ahead_kb"); got != "1024" {
			return fmt.Errorf("%q KiB", got)
		}
		return nil
	})
	if h.info("web").Accelerator != "tcg" {
		t.Skip("pending: the clock of a guest with KVM is not the TSC")
	}
	if got := in("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"); !strings.HasPrefix(got, "tsc") {
		t.Errorf("the clock is %q", got)
	}
}
