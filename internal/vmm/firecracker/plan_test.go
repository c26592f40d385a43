package firecracker

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"aegis/internal/vmm"
)

func TestParseVersion(t *testing.T) {
	for out, want := range map[string]string{
		"Firecracker v1.16.1\n\nSupported snapshot data format versions": "",
		"Firecracker v1.17.0-dev\n":                                      "",
		"Firecracker v1.16.0\n":                                          "loses connections",
		"Firecracker v1.15.9\n":                                          "loses connections",
		"Firecracker v0.99.9\n":                                          "loses connections",
		"Firecracker v2.0.0\n":                                           "not known",
		"QEMU emulator version 7.2.22":                                   "not Firecracker's",
		"Firecracker v99999999999999999999.1.1":                          "not Firecracker's",
		"":                                                               "not Firecracker's",
	} {
		_, err := parseVersion([]byte(out))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("parseVersion(%q): %v", out, err)
		}
	}
}

// TestNamesOfDisksLast holds that the disks' names don't depend on what else is passed:
// a template has them in its state.
func TestNamesOfDisksLast(t *testing.T) {
	base, disk, none, other := new(os.File), new(os.File), new(os.File), new(os.File)
	var p passed
	p.passDisks([]vmm.Disk{{Serial: "base", File: base}, {Serial: "disk"}, {Serial: "more", File: disk}}, none)
	if path := p.pass(other); path != "/proc/self/fd/6" {
		t.Errorf("what follows is %q", path)
	}
	if !slices.Equal(p, passed{base, none, disk, other}) || diskPath(0) != "/proc/self/fd/3" || diskPath(2) != "/proc/self/fd/5" {
		t.Errorf("passed %v, %q, %q", p, diskPath(0), diskPath(2))
	}
}

func TestGuestIsTold(t *testing.T) {
	line := " " + guestArgs(vmm.Config{Disks: []vmm.Disk{{Serial: "base"}, {Serial: "disk"}}, Args: []string{"more"}}) + " "
	for _, want := range []string{" aegis.vsock ", " aegis.disks=base,disk ", " reboot=k ", " panic=-1 ", " more "} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := func() vmm.Config {
		return vmm.Config{CPUs: 1, Memory: minMemory, Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, Disks: []vmm.Disk{{Serial: "base"}}}
	}
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*vmm.Config){
		"no processor":       func(c *vmm.Config) { c.CPUs = 0 },
		"many processors":    func(c *vmm.Config) { c.CPUs = maxCPUs + 1 },
		"little memory":      func(c *vmm.Config) { c.Memory -= 1 << 20 },
		"crooked memory":     func(c *vmm.Config) { c.Memory++ },
		"a NIC":              func(c *vmm.Config) { c.NIC = &vmm.NIC{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1500} },
		"a port twice":       func(c *vmm.Config) { c.Ports = append(c.Ports, vmm.PortFS) },
		"a low port":         func(c *vmm.Config) { c.Ports = append(c.Ports, vmm.Port{Name: "x", Number: 22}) },
		"a disk twice":       func(c *vmm.Config) { c.Disks = append(c.Disks, vmm.Disk{Serial: "base"}) },
		"a disk with a word": func(c *vmm.Config) { c.Disks[0].Serial = "base init=/bin/sh" },
		"a disk with a list": func(c *vmm.Config) { c.Disks[0].Serial = "a,b" },
	} {
		cfg := good()
		spoil(&cfg)
		if check(cfg) == nil {
			t.Errorf("%s: it is let through", name)
		}
	}
}
