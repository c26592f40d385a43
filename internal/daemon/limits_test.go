package daemon

import (
	"strings"
	"testing"

	"aegis/internal/cgroup"
)

// TestCheckLimits holds what doctor says of what can be limited.
func TestCheckLimits(t *testing.T) {
	for _, c := range []struct {
		tree                *cgroup.Tree
		status, detail, fix string
	}{
		{&cgroup.Tree{Dir: "/cg/aegis-1", Controllers: cgroup.Controllers}, ok, "memory, pids and cpu", ""},
		{&cgroup.Tree{Dir: "/cg/aegis-1", Controllers: cgroup.Controllers[:2], Cause: "the cause", Fix: "mend it"}, warn, "only memory, pids: the cause", "mend it"},
		{&cgroup.Tree{Cause: "the cause", Fix: "mend it"}, warn, "no control group limits", "mend it"},
		{&cgroup.Tree{Cause: "the cause"}, warn, "the cause", "security.md"},
	} {
		check := checkLimits(c.tree)
		if check.Status != c.status || !strings.Contains(check.Detail, c.detail) || !strings.Contains(check.Fix, c.fix) || c.fix == "" && check.Fix != "" {
			t.Errorf("%+v: %+v", c.tree, check)
		}
	}
}
