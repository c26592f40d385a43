package qemu

import (
	"context"
	"runtime"

	"aegis/internal/vmm"
)

// Accel is how QEMU runs the guest's instructions; the value is its -accel name.
type Accel string

// The accelerators. KVM and HVF (of macOS) are only for hosts where package accel found
// them usable.
const (
	TCG Accel = "tcg"
	KVM Accel = "kvm"
	HVF Accel = "hvf"
)

// Backend boots VMs with QEMU. The zero value is not usable; New makes one.
type Backend struct {
	arch  string // of guests, as GOARCH
	accel func() Accel
}

// New makes the backend with a fixed accelerator.
func New(accel Accel) *Backend { return Lazy(func() Accel { return accel }) }

// Lazy makes the backend with an accelerator that is asked for at first need,
// since measuring one takes milliseconds. accel must be safe for concurrent use.
func Lazy(accel func() Accel) *Backend { return &Backend{arch: runtime.GOARCH, accel: accel} }

// Foreign makes the backend for guests of another architecture (as GOARCH) than the
// host's. They are emulated: no processor's virtualization runs them.
func Foreign(arch string) *Backend { return &Backend{arch: arch, accel: func() Accel { return TCG }} }

// Name implements vmm.Backend.
func (b *Backend) Name() string { return "qemu" }

// Caps implements vmm.Backend. Under TCG the processor isolates nothing: QEMU
// promises no isolation there (its manual, "Security").
func (b *Backend) Caps() vmm.Caps {
	accel := b.accel()
	return vmm.Caps{
		Accelerator: string(accel),
		Hardware:    accel != TCG,
		NIC:         true,
		Snapshots:   templates,
		MaxCPUs:     maxCPUs,
		MinMemory:   minMemory,
	}
}

const (
	maxCPUs   = 64        // microvm allows 288; beyond this nothing was tried
	minMemory = 128 << 20 // bytes: Debian's kernel and an initramfs of 10 MB need about 100 MiB
)

// Probe implements vmm.Backend: QEMU is there, answers, and is recent enough.
func (b *Backend) Probe(ctx context.Context) error {
	bin, err := find(b.arch)
	if err != nil {
		return err
	}
	_, err = bin.version(ctx)
	return err
}
