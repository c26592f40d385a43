package daemon

import (
	"strings"
	"testing"

	"aegis/internal/config"
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
		{all.Verdict{Name: "firecracker", Usable: true, Reason: "the first", Build: "firecracker-1.16.1"}, "", ok, "firecracker-1.16.1: the first"},
	} {
		check := checkBackend(c.v, c.wanted)
		if check.Status != c.status || !strings.Contains(check.Detail, c.detail) || (check.Fix != "") != (c.status != ok) {
			t.Errorf("%+v, wanted %q: %+v", c.v, c.wanted, check)
		}
	}
}

// TestStatusSaysWhyABackend holds that what the configuration asks for is the reason
// where it asks.
func TestStatusSaysWhyABackend(t *testing.T) {
	verdicts := []all.Verdict{{Name: "quick", Usable: true, Chosen: true, Reason: "the first that works here", Build: "quick-1"},
		{Name: "slow", Usable: true, Reason: "quick is preferred"}, {Name: "none", Reason: "it is not there"}}
	for wanted, want := range map[string][3]string{
		"":     {"the first that works here", "quick is preferred", "it is not there"},
		"slow": {"the configuration says slow", "the configuration says so", "it is not there"},
		"none": {"the configuration says none", "quick is preferred", "the configuration says so, but: it is not there"},
	} {
		a := &assets{config: config.Config{Backend: wanted}, choice: func() choice { return choice{verdicts: verdicts} }}
		for i, b := range a.backends() {
			if b.Reason != want[i] || b.Build != verdicts[i].Build || b.Usable != verdicts[i].Usable {
				t.Errorf("with %q: %+v, want %q", wanted, b, want[i])
			}
		}
	}
}
