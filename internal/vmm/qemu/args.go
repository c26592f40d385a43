package qemu

import (
	"fmt"
	"os"
	"strings"

	"aegis/internal/vmm"
)

// plan is all that shapes a command line. The descriptors are numbers in the
// monitor's process.
type plan struct {
	board   board
	accel   Accel
	major   int // of QEMU's version
	tscKHz  int // 0: not known
	cpus    int
	memory  int64  // bytes
	kernel  string // path
	initrd  string
	console int
	control int     // QMP
	ram     *ramArg // nil: anonymous
	waits   bool    // for a template's state, instead of booting a kernel
	ports   []portArg
	disks   []diskArg
	nic     *nicArg
	args    []string
}

type portArg struct {
	name string
	fd   int
}

type nicArg struct {
	fd  int
	mac string
	mtu int
}

type diskArg struct {
	serial   string
	fd       int // noFile: zeros
	readOnly bool
}

// noFile stands for a descriptor that there is not.
const noFile = -1

// ramArg is the guest's memory in a file. Shared is a template that is being made;
// else what the guest writes stays the VM's own.
type ramArg struct {
	fd     int
	shared bool
}

// command is the monitor's arguments. Nothing in it is secret: any user of the
// host can read it.
func (p plan) command() []string {
	args := []string{
		"-M", p.machine(),
		"-accel", p.accelerator(),
		"-cpu", p.model(),
		"-m", fmt.Sprintf("%dM", p.memory>>20),
		"-smp", p.processors(),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-global", "virtio-mmio.force-legacy=false",
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", p.console), "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", p.control), "-mon", "chardev=control,mode=control",
	}
	args = append(append(args, ownSandbox...), p.start()...)
	if len(p.ports) > 0 {
		// Port 0 of the device is kept for a console (virtio 1.2, 5.3.2).
		args = append(args, "-device", fmt.Sprintf("virtio-serial-device,max_ports=%d", len(p.ports)+1))
	}
	for i, port := range p.ports {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=port%d,fd=%d", i, port.fd),
			"-device", fmt.Sprintf("virtserialport,chardev=port%d,nr=%d,name=%s", i, i+1, port.name))
	}
	// Where the host's disk is full the guest is told: by default QEMU would stop it
	// until somebody who has a monitor lets it go on.
	for i, disk := range p.disks {
		args = append(args, disk.file(i)...)
		args = append(args,
			"-blockdev", fmt.Sprintf("driver=raw,node-name=%s,read-only=%s,discard=unmap,file=%s", diskNode(i), onOff(disk.readOnly), fileNode(i, 0)),
			"-device", fmt.Sprintf("virtio-blk-device,drive=disk%d,serial=%s,werror=report,rerror=report", i, disk.serial))
	}
	if p.nic != nil {
		args = append(args,
			"-netdev", fmt.Sprintf("stream,id=net0,server=off,addr.type=fd,addr.str=%d", p.nic.fd),
			"-device", fmt.Sprintf("virtio-net-device,netdev=net0,mac=%s,host_mtu=%d", p.nic.mac, p.nic.mtu))
	}
	return args
}

// start is what the VM begins with: a kernel, or a template.
func (p plan) start() []string {
	var args []string
	if p.ram != nil {
		args = []string{"-object", fmt.Sprintf("memory-backend-file,id=ram,size=%dM,mem-path=%s,share=%s",
			p.memory>>20, fdPath(p.ram.fd), onOff(p.ram.shared))}
	}
	if p.waits {
		return append(args, "-incoming", "defer")
	}
	return append(args, "-kernel", p.kernel, "-initrd", p.initrd, "-append", p.append())
}

// zeros is the size in bytes of a disk without a file: a guest looks for partitions.
const zeros = 1 << 20

// file is what is behind the ith disk at first.
func (d diskArg) file(i int) []string {
	if d.fd == noFile {
		return []string{"-blockdev", fmt.Sprintf("driver=null-co,node-name=%s,read-only=%s,read-zeroes=on,size=%d", fileNode(i, 0), onOff(d.readOnly), zeros)}
	}
	return []string{
		"-add-fd", fmt.Sprintf("set=%d,fd=%d", i, d.fd),
		"-blockdev", fmt.Sprintf("driver=file,node-name=%s,read-only=%s,discard=unmap,filename=/dev/fdset/%d", fileNode(i, 0), onOff(d.readOnly), i),
	}
}

// diskNode is the name of the ith disk's block node, which lasts.
func diskNode(i int) string { return fmt.Sprintf("disk%d", i) }

// fileNode is the name of what is behind the ith disk, after n replacements.
func fileNode(i, n int) string { return fmt.Sprintf("file%d.%d", i, n) }

// machine keeps guest memory out of core dumps.
func (p plan) machine() string {
	m := p.board.machine(p.major) + ",dump-guest-core=off,mem-merge=off"
	if p.ram != nil {
		m += ",memory-backend=ram"
	}
	return m
}

// accelerator bounds what QEMU keeps of translated code, in MiB: by default 1 GiB,
// which programs fill that start at a random address each, 1.4 MiB for every
// `true`, and no run was slower with 128 than with that. Until QEMU 8.1 a processor that
// translates code while another one replaces it can keep what it read for good: a kernel
// that patches itself hangs within seconds of that, so one thread runs all processors.
func (p plan) accelerator() string {
	if p.accel != TCG {
		return string(p.accel)
	}
	threads := "multi"
	if p.major < 9 && p.cpus > 1 {
		threads = "single"
	}
	return "tcg,thread=" + threads + ",tb-size=128"
}

// processors leaves room for a second one with TCG, which nobody adds: while there can be
// one alone, QEMU translates atomic instructions as plain ones, without the barrier that
// they are (tcg-op.c, CF_PARALLEL). What a guest writes into a device's ring and what
// it reads there next could then pass each other, and the device is never told.
func (p plan) processors() string {
	if p.accel == TCG {
		return fmt.Sprintf("%d,maxcpus=%d", p.cpus, max(2, p.cpus))
	}
	return fmt.Sprint(p.cpus)
}

func (p plan) model() string {
	if p.accel == TCG {
		return p.board.model(p.major)
	}
	return "host"
}

// emulated are words for a kernel that TCG runs. Measures against a processor that guesses
// ahead do nothing there, since the host's runs other instructions than theirs; and nobody
// reads how much of the kernel's own memory a group has. Both cost each system call.
var emulated = []string{"mitigations=off", "cgroup.memory=nokmem,nosocket"}

// append is the kernel's command line: with -no-reboot a reboot ends the monitor, and
// panic=-1 makes one of a panic at once.
func (p plan) append() string {
	line := append([]string{"console=" + p.board.console, "quiet", "panic=-1"}, p.board.words...)
	if p.accel == TCG {
		line = append(line, emulated...)
		if p.tscKHz > 0 {
			line = append(line, fmt.Sprintf("tsc_early_khz=%d", p.tscKHz), "tsc=reliable")
		}
	}
	return strings.Join(append(line, p.args...), " ")
}

// fdPath lets the monitor open a descriptor anew, with an offset of its own.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// newPlan numbers the descriptors: pass gives the number that a file will have in
// the monitor, and noFile for none. ends are the monitor's sides of cfg.Ports, and of
// the NIC behind them.
func newPlan(cfg vmm.Config, ends []*os.File, pass func(*os.File) int) plan {
	p := plan{
		cpus:   cfg.CPUs,
		memory: cfg.Memory,
		kernel: opened(cfg.Kernel, pass),
		initrd: opened(cfg.Initrd, pass),
		args:   cfg.Args,
	}
	for i, port := range cfg.Ports {
		p.ports = append(p.ports, portArg{port.Name, pass(ends[i])})
	}
	if cfg.NIC != nil {
		p.nic = &nicArg{pass(ends[len(cfg.Ports)]), cfg.NIC.MAC.String(), cfg.NIC.MTU}
	}
	for _, disk := range cfg.Disks {
		p.disks = append(p.disks, diskArg{disk.Serial, pass(disk.File), disk.ReadOnly})
	}
	return p
}
