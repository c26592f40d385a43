// Package vmm is the seam to virtual machine monitors: the contract that every
// backend keeps and that vmmtest proves of each of them.
//
// Who calls it: the shim boots and ends VMs; the daemon only reads Name, Caps and
// Probe. A backend knows nothing of instances, images or protocols. It gets files
// that are already open, gives back byte streams, and owns the VMM process.
package vmm

import (
	"context"
	"io"
	"net"
	"os"
)

// Backend makes VMs with one kind of monitor. Its methods may be called by
// several goroutines at once.
type Backend interface {
	// Name is the word for --backend: "qemu", "firecracker", "libkrun".
	Name() string

	// Caps says what VMs of this backend can do, on this machine. It is cheap
	// and may be called before Probe.
	Caps() Caps

	// Probe returns nil if Boot can be expected to work here, else why not, in
	// one sentence with the thing that is missing.
	Probe(ctx context.Context) error

	// Boot starts a VM and returns when its monitor runs; the guest may still be
	// booting. A cfg that breaks what its fields say, or goes beyond Caps, is refused. On
	// an error everything that was made is undone. Boot reads cfg's
	// files but does not close them; the caller may close them after Boot returns.
	// ctx bounds Boot alone, not the life of the VM.
	Boot(ctx context.Context, cfg Config) (VM, error)

	// Snapshots is the template extension, or false. Callers never find powers
	// by type assertion.
	Snapshots() (Snapshotter, bool)
}

// VM is one running virtual machine. Its methods may be called by several
// goroutines at once. Whoever booted it calls Close.
type VM interface {
	// Channel is the host's end of the byte stream to a fixed guest port that
	// Config.Ports named. Each port can be taken once; the caller closes it.
	// It may be taken before the guest has opened its end: bytes wait, or Channel does,
	// until ctx or the VM ends.
	// The stream is a unix socket, so that its descriptor can be handed on.
	Channel(ctx context.Context, port Port) (*net.UnixConn, error)

	// Pause stops every virtual processor; Resume lets them go on. Both are
	// idempotent, return when it has happened, and fail once Done is closed.
	// Channels stay open across a pause of any length.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error

	// PID is the monitor's process ID, for accounting. After Done it may be another's.
	PID() int

	// Done is closed when the monitor has ended and was reaped, whatever the
	// cause: the guest powered off, it panicked, the monitor crashed, Close.
	Done() <-chan struct{}

	// Err says, after Done, why the VM ended: nil when the guest ended it
	// itself, ErrClosed after Close, else what the monitor said.
	Err() error

	// Close kills the monitor if it runs, reaps it, and removes what Boot made.
	// It is idempotent, and returns after Done is closed.
	Close() error
}

// Snapshotter makes templates of VMs, and VMs of templates. A template is a directory
// of the backend's own files, private to the user, that nothing changes once Save has
// returned: any number of VMs may be restored from it at once, copy-on-write.
//
// What a template was made of is in its key, which is the caller's affair: Restore
// trusts that cfg has the shape of the Config that was booted, and that Version gave
// the same.
type Snapshotter interface {
	// Version changes whenever an older template can't be restored any more: the
	// monitor's version, its build, the processor, its clock's rate. It is part of a
	// template's key.
	Version(ctx context.Context) (string, error)

	// Save writes vm, which this backend booted with Config.Template set, as a template
	// into that directory, and ends it. The VM must not be paused, the guest must have
	// nothing writable mounted and every channel must be quiet: what is in flight is
	// lost. On an error the directory is empty; vm is closed in any case.
	Save(ctx context.Context, vm VM) error

	// Restore returns when a VM of the template in dir runs. cfg is as for Boot, with
	// the same CPUs, memory, ports, NIC and disks by serial; Kernel, Initrd, Args and
	// Template are not used, and the disks' files are the new VM's own. On an error
	// everything that was made is undone.
	Restore(ctx context.Context, dir string, cfg Config) (VM, error)

	// Replace puts another file behind the disk with this serial; its size may differ.
	// The guest must not have the disk mounted, and must have dropped what it
	// remembers of it: the monitor can't know, and swaps without a word. The caller
	// may close file afterwards. A VM of this backend, booted or restored, not paused.
	// After an error nobody knows which file is behind the disk: close the VM.
	Replace(ctx context.Context, vm VM, serial string, file *os.File) error
}

// Caps is what a backend can do, as data.
type Caps struct {
	Accelerator string // "kvm", "hvf", "tcg"
	Hardware    bool   // the processor isolates the guest; false: the OS's confinement must
	NIC         bool   // frames by a network device; false: by a TAP in the guest
	Snapshots   bool
	OwnKernel   bool // the monitor brings the guest's kernel: Config.Harness takes the place of Kernel and Initrd
	MaxCPUs     int
	MinMemory   int64 // bytes
}

// Port is a fixed byte stream between guest and host. Its name is how the guest
// finds it (the name of a virtio-serial port), its number is its vsock port.
type Port struct {
	Name   string
	Number uint32
}

// The ports of Aegis's guests. Numbers start above those that need privileges in a guest.
var (
	PortControl = Port{"aegis.control", 1100} // package wire
	PortFS      = Port{"aegis.fs", 1101}      // raw FUSE messages
	PortNet     = Port{"aegis.net", 1102}     // Ethernet frames: of the NIC, or of a TAP in the guest
)

// Config is one VM to boot.
type Config struct {
	// Dir is an empty directory for the monitor's own files. Boot fills it,
	// Close empties it, the caller removes it.
	Dir string

	// Confinement is the rung of package confine that holds the monitor; "" is none. On
	// any other, the program that calls Boot passes its arguments to confine.Main.
	Confinement string

	Kernel *os.File // bzImage or Image; a backend that needs another form converts it
	Initrd *os.File // cpio archive, any compression that the kernel takes
	Args   []string // for the kernel's command line, behind the backend's own

	// Harness is the guest's first program, a static one, where Caps.OwnKernel holds; it
	// finds the directories /proc, /sys, /dev and /aegis, and nothing else. Kernel and
	// Initrd are not used then.
	Harness *os.File

	CPUs   int    // at least 1
	Memory int64  // bytes, a multiple of 1 MiB
	Disks  []Disk // none twice
	Ports  []Port // none twice
	NIC    *NIC   // nil: none; only where Caps.NIC holds

	// Template, when set, is an empty directory on a disk with room for Memory: the VM
	// can be saved there (Snapshotter). It is for Boot alone.
	Template string

	// Console receives what the guest's kernel and harness print, until Done. A
	// slow writer must not be able to stop the guest: bytes may be dropped.
	Console io.Writer

	// Log receives what the monitor itself prints.
	Log io.Writer
}

// NIC is a network device. Its frames are the channel PortNet, which is then no port
// of the guest's: a length (u32, big-endian) and an Ethernet frame, both ways.
type NIC struct {
	MAC net.HardwareAddr
	MTU int // bytes, without the Ethernet header
}

// Disk is a raw image that becomes a virtio block device.
type Disk struct {
	Serial   string   // how the guest finds it: at most 20 bytes, [a-z0-9-]
	File     *os.File // opened for what ReadOnly says; nil: zeros, for a later Replace, where Caps.Snapshots holds
	ReadOnly bool
}
