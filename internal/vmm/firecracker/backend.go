package firecracker

import (
	"context"
	"errors"
	"runtime"

	"aegis/internal/vmm"
)

// Backend boots VMs with Firecracker. The zero value is not usable; New makes one.
type Backend struct {
	kvm func() error
}

// New makes the backend. kvm says why KVM can't be used, or nil; it is asked by Probe
// alone and must be safe for concurrent use.
func New(kvm func() error) *Backend { return &Backend{kvm} }

// Name implements vmm.Backend.
func (b *Backend) Name() string { return "firecracker" }

const (
	maxCPUs   = 32        // of the API's machine configuration
	minMemory = 128 << 20 // bytes, as for the other backends: the guest is the same
)

var caps = vmm.Caps{Accelerator: "kvm", Hardware: true, Snapshots: true, MaxCPUs: maxCPUs, MinMemory: minMemory}

// Caps implements vmm.Backend.
func (b *Backend) Caps() vmm.Caps { return caps }

// Probe implements vmm.Backend: KVM works, and Firecracker is there, of a version that
// does. KVM comes first, since without it nobody needs to look for a program.
func (b *Backend) Probe(ctx context.Context) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return errors.New("this backend runs on Linux on amd64 only, so far")
	}
	if err := b.kvm(); err != nil {
		return err
	}
	bin, err := find()
	if err != nil {
		return err
	}
	_, err = bin.version(ctx)
	return err
}
