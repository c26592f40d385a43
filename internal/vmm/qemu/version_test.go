package qemu_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"aegis/internal/vmm/qemu"
)

func TestVersionTellsBuildsApart(t *testing.T) {
	fakeQEMU(t, "exit 1")
	version := func(accel qemu.Accel) string {
		snaps, ok := qemu.New(accel).Snapshots()
		if !ok {
			t.Fatal("no templates")
		}
		v, err := snaps.Version(t.Context())
		if err != nil {
			t.Skip("pending: " + err.Error())
		}
		return v
	}
	first := version(qemu.TCG)
	if again := version(qemu.TCG); again != first {
		t.Errorf("the version was %s and is %s", first, again)
	}
	if other := version(qemu.KVM); other == first {
		t.Error("another accelerator has the same version")
	}
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if other := version(qemu.TCG); other == first {
		t.Error("another build has the same version")
	}
}
