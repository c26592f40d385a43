package vmm

import (
	"errors"
	"fmt"
	"strings"
)

// Names go into options of monitors and lists on command lines, where a comma or a space
// would begin another word.
const (
	serialLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	serialMost    = 20 // VIRTIO_BLK_ID_BYTES (linux/virtio_blk.h)
	portLetters   = serialLetters + "."
	portMost      = 60
)

func isName(s, letters string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, letters) == ""
}

// Check refuses what a backend of these powers can make no VM of, or a monitor would
// refuse later or misread. What else a backend can't do is its own affair.
func (c Config) Check(caps Caps) error {
	switch {
	case c.CPUs < 1 || c.CPUs > caps.MaxCPUs:
		return fmt.Errorf("%d processors are not between 1 and %d", c.CPUs, caps.MaxCPUs)
	case c.Memory < caps.MinMemory || c.Memory%(1<<20) != 0:
		return fmt.Errorf("%d bytes of memory are less than %d or no multiple of 1 MiB", c.Memory, caps.MinMemory)
	case c.NIC != nil && !caps.NIC:
		return errors.New("a network device is not to be had with this backend")
	}
	ports := map[string]bool{}
	for _, port := range c.Ports {
		if !isName(port.Name, portLetters, portMost) || ports[port.Name] {
			return fmt.Errorf("port %q is not a name, or there twice", port.Name)
		}
		ports[port.Name] = true
	}
	if nic := c.NIC; nic != nil && (ports[PortNet.Name] || len(nic.MAC) != 6 || nic.MTU < 1280 || nic.MTU > 65535) {
		return fmt.Errorf("network device %v is none, or its channel is a port too", *nic)
	}
	serials := map[string]bool{}
	for _, disk := range c.Disks {
		if !isName(disk.Serial, serialLetters, serialMost) || serials[disk.Serial] {
			return fmt.Errorf("disk %q is not a name, or there twice", disk.Serial)
		}
		serials[disk.Serial] = true
	}
	return nil
}

// CheckBoot is Check for a VM that is booted with a kernel of its own.
func (c Config) CheckBoot(caps Caps) error {
	if c.Kernel == nil || c.Initrd == nil {
		return errors.New("a VM needs a kernel and an initramfs")
	}
	return c.Check(caps)
}
