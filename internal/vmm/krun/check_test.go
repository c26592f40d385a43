package krun

import (
	"os"
	"strings"
	"testing"

	"aegis/internal/vmm"
	"aegis/internal/vmm/krun/order"
)

// TestWhatIsRefused is refused before a process is made.
func TestWhatIsRefused(t *testing.T) {
	f := os.Stdin
	good := func() vmm.Config {
		return vmm.Config{Harness: f, CPUs: 1, Memory: 256 << 20, Ports: []vmm.Port{vmm.PortControl}, Disks: []vmm.Disk{{Serial: "base", File: f}}}
	}
	if err := check(good(), new(Backend).Caps()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*vmm.Config){
		"no harness":   func(c *vmm.Config) { c.Harness = nil },
		"a template":   func(c *vmm.Config) { c.Template = "/x" },
		"no processor": func(c *vmm.Config) { c.CPUs = 0 },
		"many":         func(c *vmm.Config) { c.CPUs = maxCPUs + 1 },
		"odd memory":   func(c *vmm.Config) { c.Memory++ },
		"no memory":    func(c *vmm.Config) { c.Memory = 0 },
		"a quote":      func(c *vmm.Config) { c.Args = []string{`a"b`} },
		"a port twice": func(c *vmm.Config) { c.Ports = append(c.Ports, vmm.PortControl) },
		"a disk twice": func(c *vmm.Config) { c.Disks = append(c.Disks, c.Disks[0]) },
		"no file":      func(c *vmm.Config) { c.Disks[0].File = nil },
		"long serial":  func(c *vmm.Config) { c.Disks[0].Serial = strings.Repeat("a", 21) },
		"no MAC":       func(c *vmm.Config) { c.NIC = &vmm.NIC{MTU: 1500} },
		"its channel twice": func(c *vmm.Config) {
			c.NIC, c.Ports = &vmm.NIC{MAC: make([]byte, 6), MTU: 1500}, []vmm.Port{vmm.PortNet}
		},
	} {
		cfg := good()
		spoil(&cfg)
		if check(cfg, new(Backend).Caps()) == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestOrderIsBounded(t *testing.T) {
	o := order.Order{CPUs: 2, Args: []string{"a"}, NIC: &order.NIC{MAC: [6]byte{2}, FD: 7}}
	text, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := order.Decode(strings.NewReader(string(text)))
	if err != nil || back.CPUs != 2 || *back.NIC != *o.NIC {
		t.Errorf("read back as %+v, %v", back, err)
	}
	o.Args[0] = strings.Repeat("a", order.Size)
	if _, err := o.Encode(); err == nil {
		t.Error("an order that fills no pipe is written")
	}
	for _, text := range []string{"", "{", strings.Repeat(" ", order.Size+1)} {
		if _, err := order.Decode(strings.NewReader(text)); err == nil {
			t.Errorf("%.9q is taken for an order", text)
		}
	}
}
