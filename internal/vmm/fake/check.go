package fake

import (
	"errors"
	"fmt"
	"regexp"

	"aegis/internal/vmm"
)

var serialPattern = regexp.MustCompile(`^[a-z0-9-]{1,20}$`)

// check refuses what a monitor would.
func (b *Backend) check(cfg vmm.Config) error {
	caps := b.Caps()
	switch {
	case cfg.Kernel == nil || cfg.Initrd == nil:
		return errors.New("a VM needs a kernel and an initramfs")
	case cfg.CPUs < 1 || cfg.CPUs > caps.MaxCPUs:
		return fmt.Errorf("%d processors are not between 1 and %d", cfg.CPUs, caps.MaxCPUs)
	case cfg.Memory < caps.MinMemory || cfg.Memory%(1<<20) != 0:
		return fmt.Errorf("%d bytes of memory are less than %d or no multiple of 1 MiB", cfg.Memory, caps.MinMemory)
	}
	names := map[string]bool{}
	for _, port := range cfg.Ports {
		if port.Name == "" || names[port.Name] {
			return fmt.Errorf("port %q is none, or there twice", port.Name)
		}
		names[port.Name] = true
	}
	serials := map[string]bool{}
	for _, disk := range cfg.Disks {
		if !serialPattern.MatchString(disk.Serial) || serials[disk.Serial] {
			return fmt.Errorf("disk %q is not a name, or there twice", disk.Serial)
		}
		serials[disk.Serial] = true
	}
	return nil
}
