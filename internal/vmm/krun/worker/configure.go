package worker

import (
	"fmt"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm/krun/order"
)

// Numbers of libkrun.h.
const (
	logErrors = 1 // level
	logPlain  = 2 // style: no colours
	logNoEnv  = 1 // option: the environment says nothing about the log
	rawDisk   = 0 // format

	guestChecksum = 1 << 1 // VIRTIO_NET_F_GUEST_CSUM, which the next one needs
	guestTSO4     = 1 << 7 // VIRTIO_NET_F_GUEST_TSO4
)

// rootTag is how the guest's kernel finds the file system that it begins in.
const rootTag = "/dev/root"

// standard are its directories: where the harness mounts its own file systems.
var standard = []string{"proc", "sys", "dev", "aegis"}

// configure tells libkrun of the VM.
func (k *krun) configure(o order.Order, harness []byte) (uint32, error) {
	if err := outcome("krun_init_log", k.initLog(2, logErrors, logPlain, logNoEnv)); err != nil {
		return 0, err
	}
	created := k.createCtx()
	if err := outcome("krun_create_ctx", created); err != nil {
		return 0, err
	}
	ctx := uint32(created)
	for _, step := range []func() error{
		func() error { return k.bare(ctx, o) },
		func() error { return k.root(ctx, harness) },
		func() error { return k.ports(ctx, o.Ports) },
		func() error { return k.disks(ctx, o.Disks) },
		func() error { return k.net(ctx, o.NIC) },
		func() error { return k.args(ctx, o.Args) },
	} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	return ctx, nil
}

// bare is the machine, without what libkrun adds unasked: an init of its own, a console,
// and a vsock device by which the guest would have the host's network.
func (k *krun) bare(ctx uint32, o order.Order) error {
	if o.CPUs < 1 || o.CPUs > 255 {
		return fmt.Errorf("%d processors are not between 1 and 255", o.CPUs)
	}
	for name, result := range map[string]int32{
		"krun_set_vm_config":            k.setVMConfig(ctx, uint8(o.CPUs), uint32(o.Memory>>20)),
		"krun_disable_implicit_init":    k.disableImplicitInit(ctx),
		"krun_disable_implicit_console": k.disableImplicitConsole(ctx),
		"krun_disable_implicit_vsock":   k.disableImplicitVsock(ctx),
	} {
		if err := outcome(name, result); err != nil {
			return err
		}
	}
	return nil
}

// root is a file system of four empty directories and the harness, all in memory.
func (k *krun) root(ctx uint32, harness []byte) error {
	const noDirectory = 0
	if err := outcome("krun_add_virtiofs3", k.addVirtiofs(ctx, rootTag, noDirectory, 0, false)); err != nil {
		return err
	}
	for _, dir := range standard {
		if err := outcome("krun_fs_add_overlay_dir", k.addOverlayDir(ctx, rootTag, dir, 0o40755)); err != nil {
			return err
		}
	}
	if len(harness) == 0 {
		return fmt.Errorf("the harness is empty")
	}
	return outcome("krun_fs_add_overlay_file",
		k.addOverlayFile(ctx, rootTag, "init.krun", &harness[0], uintptr(len(harness)), 0o100755, false))
}

// ports are the console, which has no input and goes to the log, and the named streams.
// The console's device is the first: it is hvc0.
func (k *krun) ports(ctx uint32, ports []order.Port) error {
	if err := outcome("krun_add_virtio_console_default", k.addConsole(ctx, -1, -1, -1)); err != nil {
		return err
	}
	if len(ports) == 0 {
		return nil // a device without ports is a bug of the guest's kernel, or of libkrun
	}
	device := k.addPorts(ctx)
	if err := outcome("krun_add_virtio_console_multiport", device); err != nil {
		return err
	}
	for _, p := range ports {
		if err := outcome("krun_add_console_port_inout", k.addPort(ctx, uint32(device), p.Name, int32(p.FD), int32(p.FD))); err != nil {
			return err
		}
	}
	return nil
}

func (k *krun) disks(ctx uint32, disks []order.Disk) error {
	for _, d := range disks {
		if err := outcome("krun_add_disk2", k.addDisk(ctx, d.Serial, d.Path, rawDisk, d.ReadOnly)); err != nil {
			return fmt.Errorf("add disk %q: %w", d.Serial, err)
		}
	}
	return nil
}

// net adds the device. It may send segments that a guest joins, which ours never are:
// but only then does the guest's kernel keep buffers for frames beyond 1500 bytes.
func (k *krun) net(ctx uint32, nic *order.NIC) error {
	if nic == nil {
		return nil
	}
	const noPath = 0
	return outcome("krun_add_net_unixstream", k.addNet(ctx, noPath, int32(nic.FD), &nic.MAC[0], guestChecksum|guestTSO4, 0))
}

// args go where libkrun puts the environment of its init: on the kernel's command line.
// With none of ours the host's would be there.
func (k *krun) args(ctx uint32, args []string) error {
	list := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		text, err := unix.BytePtrFromString(arg)
		if err != nil {
			return fmt.Errorf("argument %q: %w", arg, err)
		}
		list = append(list, text)
	}
	list = append(list, nil)
	return outcome("krun_set_env", k.setEnv(ctx, &list[0]))
}
