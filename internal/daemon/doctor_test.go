package daemon

import (
	"runtime"
	"testing"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/instance"
	"aegis/internal/vmm/all"
)

// TestBackendsAreJudged has qemu missing, and firecracker wanted or not, on machines with
// KVM and without.
func TestBackendsAreJudged(t *testing.T) {
	debian := all.Install(runtime.GOARCH)
	usable := all.Verdict{Name: "firecracker", Usable: true, Reason: "the first", Build: "firecracker-1.16.1"}
	lacks := all.Verdict{Name: "firecracker", Reason: "it is not there"}
	install, fixLibkrun := installFirecracker, "sudo dnf install libkrun libkrunfw"
	if runtime.GOOS == "darwin" {
		fixLibkrun = "brew tap slp/krun && brew install libkrun libkrunfw"
	}
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" { // where it can't be had
		install = ""
	}
	for _, c := range []struct {
		v      all.Verdict
		wanted string
		kvm    bool
		r      remark
		want   client.Check
	}{
		{all.Verdict{Name: "qemu", Usable: true, Reason: "the first"}, "", false, remark{}, client.Check{Status: ok, Detail: "qemu: the first"}},
		{all.Verdict{Name: "qemu", Reason: "it is not there"}, "", false, remark{}, client.Check{Status: warn, Detail: "not used: it is not there", Fix: debian}},
		{all.Verdict{Name: "qemu", Reason: "it is not there"}, "qemu", false, remark{}, client.Check{Status: fail, Detail: "not used: it is not there", Fix: debian}},
		{all.Verdict{Name: "qemu", Usable: true, Reason: "the first"}, "", false, remark{ok, "it is old", "renew it"}, client.Check{Status: ok, Detail: "qemu: the first; it is old", Fix: "renew it"}},
		{lacks, "", true, remark{}, client.Check{Status: ok, Detail: "not used: it is not there", Fix: install}},
		{lacks, "firecracker", true, remark{}, client.Check{Status: fail, Detail: "not used: it is not there", Fix: or(install, "export AEGIS_BACKEND=qemu")}},
		{lacks, "", false, remark{}, client.Check{Status: ok, Detail: "not used: it is not there"}},
		{lacks, "firecracker", false, remark{}, client.Check{Status: fail, Detail: "not used: it is not there", Fix: "export AEGIS_BACKEND=qemu"}},
		{all.Verdict{Name: "libkrun", Reason: "it is not there"}, "", true, remark{}, client.Check{Status: ok, Detail: "not used: it is not there"}},
		{all.Verdict{Name: "libkrun", Reason: "it is not there"}, "libkrun", true, remark{}, client.Check{Status: fail, Detail: "not used: it is not there", Fix: fixLibkrun}},
		{usable, "", true, remark{}, client.Check{Status: ok, Detail: "firecracker-1.16.1: the first"}},
		{usable, "", true, remark{warn, "it has no filters", installFirecracker}, client.Check{Status: warn, Detail: "firecracker-1.16.1: the first; it has no filters", Fix: installFirecracker}},
	} {
		c.want.Name = "backend " + c.v.Name
		if check := checkBackend(c.v, c.wanted, c.kvm, c.r); check != c.want {
			t.Errorf("%+v, wanted %q: %+v, want %+v", c.v, c.wanted, check, c.want)
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
		a := &assets{config: config.Config{Backend: wanted}, choices: map[string]func() choice{instance.Host: func() choice { return choice{verdicts: verdicts} }}}
		for i, b := range a.backends() {
			if b.Reason != want[i] || b.Build != verdicts[i].Build || b.Usable != verdicts[i].Usable || (b.Fix == "") != b.Usable {
				t.Errorf("with %q: %+v, want %q", wanted, b, want[i])
			}
		}
	}
}
