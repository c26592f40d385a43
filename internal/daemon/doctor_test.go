package daemon

import (
	"strings"
	"testing"

	"aegis/internal/vmm/all"
)

func TestBackendsAreJudged(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no firecracker that could have filters
	for _, c := range []struct {
		v      all.Verdict
		wanted string
		status string
		detail string
	}{
		{all.Verdict{Name: "qemu", Usable: true, Reason: "the first"}, "", ok, "the first"},
		{all.Verdict{Name: "qemu", Reason: "it is not there"}, "", warn, "it is not there"},
		{all.Verdict{Name: "qemu", Reason: "it is not there"}, "qemu", fail, "it is not there"},
		{all.Verdict{Name: "firecracker", Reason: "it is not there"}, "", ok, "not used: it is not there"},
		{all.Verdict{Name: "firecracker", Reason: "it is not there"}, "firecracker", fail, "not used: it is not there"},
		{all.Verdict{Name: "firecracker", Usable: true, Reason: "qemu is preferred"}, "", ok, "not confined"},
	} {
		check := checkBackend(c.v, c.wanted)
		if check.Status != c.status || !strings.Contains(check.Detail, c.detail) || (check.Fix != "") != (c.status != ok) {
			t.Errorf("%+v, wanted %q: %+v", c.v, c.wanted, check)
		}
	}
}
