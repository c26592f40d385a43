package qemu

import (
	"fmt"
	"regexp"

	"aegis/internal/vmm"
)

// Words that go into an option of QEMU, where a comma would begin another one.
var (
	serialPattern = regexp.MustCompile(`^[a-z0-9-]{1,20}$`) // 20: VIRTIO_BLK_ID_BYTES
	portPattern   = regexp.MustCompile(`^[a-z0-9.-]{1,60}$`)
)

// checkBoot refuses what can't be booted.
func checkBoot(cfg vmm.Config) error {
	if cfg.Kernel == nil || cfg.Initrd == nil {
		return fmt.Errorf("a VM needs a kernel and an initramfs")
	}
	return check(cfg)
}

// check refuses a configuration that QEMU would refuse later or misread.
func check(cfg vmm.Config) error {
	switch {
	case cfg.CPUs < 1 || cfg.CPUs > maxCPUs:
		return fmt.Errorf("%d processors are not between 1 and %d", cfg.CPUs, maxCPUs)
	case cfg.Memory < minMemory || cfg.Memory%(1<<20) != 0:
		return fmt.Errorf("%d bytes of memory are less than %d or no multiple of 1 MiB", cfg.Memory, int64(minMemory))
	}
	names := map[string]bool{}
	for _, port := range cfg.Ports {
		if !portPattern.MatchString(port.Name) || names[port.Name] {
			return fmt.Errorf("port %q is not a name, or there twice", port.Name)
		}
		names[port.Name] = true
	}
	if nic := cfg.NIC; nic != nil && (names[vmm.PortNet.Name] || len(nic.MAC) != 6 || nic.MTU < 1280 || nic.MTU > 65535) {
		return fmt.Errorf("network device %v is none, or its channel is a port too", *nic)
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
