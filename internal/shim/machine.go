package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"aegis/internal/instance"
	"aegis/internal/netstack"
	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// machineMAC is what a network device has until the guest gives it the instance's own
// address: a template has none of an instance's.
var machineMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 1}

// makeVM boots or restores the machine with that file as its disk, which may be nil. It
// opens every other file, and closes those again.
func (r *run) makeVM(ctx context.Context, backend vmm.Backend, disk *os.File) error {
	var files undo.Stack
	defer files.Run()
	cfg, err := r.config(&files)
	if err != nil {
		return err
	}
	cfg.Disks = append(cfg.Disks, vmm.Disk{Serial: instance.SerialDisk, File: disk})
	if r.launch.Template == "" {
		r.vm, err = backend.Boot(ctx, cfg)
	} else if r.snapshots != nil {
		r.vm, err = r.snapshots.Restore(ctx, r.launch.Template, cfg)
	} else {
		err = errNoSnapshots
	}
	if err == nil {
		r.measure("vmm", r.vm.PID())
	}
	return err
}

var errNoSnapshots = errors.New("this backend has no templates, and replaces no disk")

// config is the machine but for its disk.
func (r *run) config(files *undo.Stack) (vmm.Config, error) {
	cfg := vmm.Config{Dir: r.dir.VMM(), Confinement: r.launch.Confinement, CPUs: r.launch.CPUs, Memory: r.launch.Memory, Template: r.launch.Save,
		Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, Console: r.console, Log: &capped{w: os.Stderr, left: monitorLog}}
	switch {
	case r.nic:
		cfg.NIC = &vmm.NIC{MAC: machineMAC, MTU: netstack.MTU}
	case r.launch.NIC:
		cfg.Ports = append(cfg.Ports, vmm.PortNet)
	}
	if err := os.Mkdir(cfg.Dir, 0o700); err != nil {
		return cfg, err
	}
	var err error
	open := func(name string) (f *os.File) {
		if err != nil {
			return nil
		}
		if f, err = os.Open(name); err == nil {
			files.Add(func() { f.Close() })
		}
		return f
	}
	switch {
	case r.launch.Harness != "":
		cfg.Harness = open(r.launch.Harness)
	case r.launch.Template == "":
		cfg.Kernel, cfg.Initrd = open(r.launch.Kernel), open(r.launch.Initrd)
	}
	cfg.Disks = []vmm.Disk{{Serial: instance.SerialBase, File: open(r.launch.Base), ReadOnly: true}}
	return cfg, err
}

// openDisk opens an instance's disk and takes it, and gives its size in bytes.
func openDisk(ctx context.Context, name string) (*os.File, int64, error) {
	disk, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := disk.Stat()
	if err == nil {
		err = own(ctx, disk)
	}
	if err != nil {
		disk.Close()
		return nil, 0, err
	}
	return disk, info.Size(), nil
}

// putDisk puts the instance's disk into a VM that has another, or none.
func (r *run) putDisk(ctx context.Context, disk *os.File) error {
	if r.snapshots == nil {
		return errNoSnapshots
	}
	if err := r.snapshots.Replace(ctx, r.vm, instance.SerialDisk, disk); err != nil {
		return fmt.Errorf("put the instance's disk in: %w", err)
	}
	return nil
}
