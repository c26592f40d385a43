package firecracker_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"

	"aegis/internal/accel"
	"aegis/internal/confine"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm/firecracker"
	"aegis/internal/vmm/vmmtest"
)

// TestContract needs KVM, which the lab has (make lab BACKEND=firecracker). Its monitors
// are held by the best rung that the machine allows.
func TestContract(t *testing.T) {
	backend := firecracker.New(func() error {
		if r := accel.Measure(context.Background()); !r.Usable {
			return errors.New(r.Reason)
		}
		return nil
	})
	if err := backend.Probe(t.Context()); err != nil {
		t.Skipf("pending: firecracker can't run here: %v", err)
	}
	image, initrd := assets(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found, err := confine.Ask(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the monitors are held by rung %s %s", found.Rung, found.Cause)
	assets := vmmtest.Assets{Kernel: image, Initrd: initrd, Confinement: string(found.Rung)}
	for _, rung := range confine.Rungs[slices.Index(confine.Rungs, found.Rung):] {
		if rung.On() {
			assets.Confinements = append(assets.Confinements, string(rung))
		}
	}
	vmmtest.Run(t, backend, assets)
}

// assets gives a kernel and an initramfs with the contract's init.
func assets(tb testing.TB) (image, initrd string) {
	tb.Helper()
	if os.Getenv(paths.EnvCache) == "" {
		tb.Skip("pending: AEGIS_CACHE names no directory with a kernel (make test sets it)")
	}
	home, err := paths.Locate(os.Getenv)
	if err != nil {
		tb.Fatal(err)
	}
	k, err := kernel.Open(home.Kernels(), runtime.GOARCH)
	if err != nil {
		tb.Skip("pending: " + err.Error())
	}
	initrd, err = kernel.Initrd(tb.Context(), k, vmmtest.BuildInit(tb), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return k.Image, initrd
}
