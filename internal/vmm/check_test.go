package vmm

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestCheckRefuses(t *testing.T) {
	caps := Caps{NIC: true, MaxCPUs: 4, MinMemory: 128 << 20}
	f := os.Stdin
	good := func() Config {
		return Config{Kernel: f, Initrd: f, CPUs: 1, Memory: 256 << 20,
			Ports: []Port{PortControl}, Disks: []Disk{{Serial: "base", File: f}}}
	}
	if err := good().CheckBoot(caps); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"NIC without address": func(c *Config) { c.NIC = &NIC{MTU: 1500} },
		"NIC without MTU":     func(c *Config) { c.NIC = &NIC{MAC: make(net.HardwareAddr, 6)} },
		"NIC and its port": func(c *Config) {
			c.NIC, c.Ports = &NIC{MAC: make(net.HardwareAddr, 6), MTU: 1500}, []Port{PortNet}
		},
		"no kernel":           func(c *Config) { c.Kernel = nil },
		"no initramfs":        func(c *Config) { c.Initrd = nil },
		"no processor":        func(c *Config) { c.CPUs = 0 },
		"too many processors": func(c *Config) { c.CPUs = caps.MaxCPUs + 1 },
		"little memory":       func(c *Config) { c.Memory = 64 << 20 },
		"odd memory":          func(c *Config) { c.Memory++ },
		"option in a port":    func(c *Config) { c.Ports[0].Name = "a,chardev=b" },
		"port twice":          func(c *Config) { c.Ports = append(c.Ports, c.Ports[0]) },
		"option in a serial":  func(c *Config) { c.Disks[0].Serial = "a,b=c" },
		"dot in a serial":     func(c *Config) { c.Disks[0].Serial = "a.b" },
		"disk twice":          func(c *Config) { c.Disks = append(c.Disks, c.Disks[0]) },
		"serial too long":     func(c *Config) { c.Disks[0].Serial = strings.Repeat("a", 21) },
	} {
		cfg := good()
		spoil(&cfg)
		if cfg.CheckBoot(caps) == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	cfg := good()
	cfg.NIC = &NIC{MAC: make(net.HardwareAddr, 6), MTU: 1500}
	if cfg.Check(caps) != nil || cfg.Check(Caps{MaxCPUs: 4, MinMemory: 1}) == nil {
		t.Error("a network device is taken by a backend that has none, or refused by one that has")
	}
}
