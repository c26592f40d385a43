package krun

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"aegis/internal/vmm"
)

var (
	serialPattern = regexp.MustCompile(`^[a-z0-9-]{1,20}$`) // 20: VIRTIO_BLK_ID_BYTES
	portPattern   = regexp.MustCompile(`^[a-z0-9.-]{1,60}$`)
)

// check refuses a configuration that libkrun would refuse later or misread.
func check(cfg vmm.Config) error {
	switch {
	case cfg.Harness == nil:
		return errors.New("a VM needs a harness")
	case cfg.Template != "":
		return errors.New("there are no templates with this backend")
	case cfg.CPUs < 1 || cfg.CPUs > maxCPUs:
		return fmt.Errorf("%d processors are not between 1 and %d", cfg.CPUs, maxCPUs)
	case cfg.Memory < minMemory || cfg.Memory%(1<<20) != 0:
		return fmt.Errorf("%d bytes of memory are less than %d or no multiple of 1 MiB", cfg.Memory, int64(minMemory))
	}
	for _, arg := range cfg.Args {
		if strings.ContainsAny(arg, "\" \t\n") {
			return fmt.Errorf("argument %q can't be on the kernel's command line", arg)
		}
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
		if disk.File == nil {
			return fmt.Errorf("disk %q has no file, and none could be put in later", disk.Serial)
		}
		serials[disk.Serial] = true
	}
	return nil
}
