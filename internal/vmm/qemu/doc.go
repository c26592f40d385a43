// Package qemu is the backend that runs where nothing faster can: QEMU's microvm
// machine, for guests of arm64 its virt machine, on KVM when that was measured usable,
// else in pure emulation (TCG), as always for guests of another architecture. On macOS
// it is HVF in the place of KVM, and there are no templates; nobody has run it there yet.
//
// It owns the monitor's process: its command line, descriptors, life and death.
// The shim boots VMs with it, the daemon only probes. It never reads what comes
// over a channel but the control connection's, never opens a file of a guest (the
// caller passes open ones), and listens on no socket.
//
// To boot a guest:
//
//	k, err := kernel.Ensure(ctx, home.Kernels(), runtime.GOARCH, report)
//	initrd, err := kernel.Initrd(ctx, k, "bin/aegis-harness", home.Kernels())
//	// open k.Image, initrd and the disks
//	vm, err := qemu.New(qemu.TCG).Boot(ctx, vmm.Config{
//		Dir: dir, Kernel: image, Initrd: archive, CPUs: 1, Memory: 512 << 20,
//		Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, Disks: disks,
//		Console: console, Log: log,
//	})
//	defer vm.Close()
//	control, err := vm.Channel(ctx, vmm.PortControl)
//
// The guest's /init loads the modules that /modules/order lists, finds a port by
// its name in /sys/class/virtio-ports/vportNpM/name and opens /dev/vportNpM, and
// finds a disk by /sys/block/vdX/serial. It ends the VM by reboot(2) with
// LINUX_REBOOT_CMD_POWER_OFF or _RESTART; a kernel panic ends it too.
//
// A template is three files in one directory: the guest's memory, which the VM that
// was booted with Config.Template has mapped from the start (so that Save need not
// write it), the devices' state by QEMU's migration, and a manifest. A clone maps the
// memory privately and reads the state from a descriptor.
//
// QEMU is told what to do over a socket pair of its own (qmp.go). What it says there is
// read as a guest's words: QEMU may have been taken over.
package qemu
