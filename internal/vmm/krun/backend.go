package krun

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"aegis/internal/vmm"
)

// Backend boots VMs with libkrun. The zero value is not usable; New makes one.
type Backend struct {
	hypervisor func() error
}

// New makes the backend. hypervisor says why the host's virtualization can't be used, or
// nil; it is asked by Probe alone and must be safe for concurrent use.
func New(hypervisor func() error) *Backend { return &Backend{hypervisor} }

// Name implements vmm.Backend.
func (b *Backend) Name() string { return "libkrun" }

const (
	maxCPUs   = 32        // what was tried
	minMemory = 128 << 20 // bytes, as for the other backends: the guest is the same
)

// Caps implements vmm.Backend.
func (b *Backend) Caps() vmm.Caps {
	accelerator := "kvm"
	if runtime.GOOS == "darwin" {
		accelerator = "hvf"
	}
	return vmm.Caps{Accelerator: accelerator, Hardware: true, NIC: true, OwnKernel: true, MaxCPUs: maxCPUs, MinMemory: minMemory}
}

// Snapshots implements vmm.Backend: libkrun has none.
func (b *Backend) Snapshots() (vmm.Snapshotter, bool) { return nil, false }

// Probe implements vmm.Backend: the libraries are there and can be loaded, and the host's
// virtualization works.
func (b *Backend) Probe(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return errors.New("this backend runs on Linux only, so far")
	}
	w, err := find()
	if err != nil {
		return err
	}
	if err := w.check(ctx); err != nil {
		return err
	}
	return b.hypervisor()
}

// Version is what VMs that were made ahead are bound to: they were made with these very
// libraries.
func Version() (string, error) {
	w, err := find()
	if err != nil {
		return "", err
	}
	build, err := w.libraries.Build()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("libkrun-%s-%s", w.libraries.Version, build), nil
}
