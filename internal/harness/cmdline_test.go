//go:build linux

package harness

import "testing"

func TestHintsOfTheMonitor(t *testing.T) {
	h := parseHints("console=ttyS0 aegis.vsock aegis.disks=base,disk quiet\n")
	if !h.vsock || h.disk("base") != "/dev/vda" || h.disk("disk") != "/dev/vdb" || h.disk("other") != "" {
		t.Errorf("%+v", h)
	}
	if h := parseHints("console=ttyS0 aegis.disks= xaegis.vsock"); h.vsock || h.disk("") != "" {
		t.Errorf("of nothing: %+v", h)
	}
}
