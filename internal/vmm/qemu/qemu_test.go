package qemu_test

import (
	"os"
	"runtime"
	"slices"
	"testing"

	"aegis/internal/accel"
	"aegis/internal/confine"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm/qemu"
	"aegis/internal/vmm/vmmtest"
)

func TestContract(t *testing.T) {
	image, initrd := assets(t)
	vmmtest.Run(t, qemu.New(qemu.TCG), vmmtest.Assets{Kernel: image, Initrd: initrd, Confinements: rungs(t)})
}

// rungs are those of package confine that this machine allows; TestMain serves them.
func rungs(t *testing.T) (out []string) {
	t.Helper()
	found, err := confine.Ask(t.Context(), os.Args[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, rung := range confine.Rungs[slices.Index(confine.Rungs, found.Rung):] {
		if rung.On() {
			out = append(out, string(rung))
		}
	}
	if found.Rung != confine.Full {
		t.Logf("pending: this machine allows %q at most: %s", found.Rung, found.Cause)
	}
	return out
}

// TestContractOnKVM needs KVM, which the lab has (make lab BACKEND=qemu).
func TestContractOnKVM(t *testing.T) {
	if r := accel.Measure(t.Context()); !r.Usable {
		t.Skip("pending: no usable KVM: " + r.Reason)
	}
	image, initrd := assets(t)
	vmmtest.Run(t, qemu.New(qemu.KVM), vmmtest.Assets{Kernel: image, Initrd: initrd})
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
