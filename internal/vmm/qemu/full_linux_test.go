package qemu_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm/qemu"
)

// TestTemplateOnAFullDisk makes one where the guest's memory does not fit: the kernel ends
// the monitor, nobody waits for it, and nothing is left.
func TestTemplateOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("aegis-test", dir, "tmpfs", 0, "size=32M"); err != nil {
		t.Skip("pending: a small disk can be mounted by root alone: " + err.Error())
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	backend := qemu.New(qemu.TCG)
	vm, err := backend.Boot(t.Context(), toSave(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	select {
	case <-vm.Done():
	case <-time.After(time.Minute):
		t.Fatal("the VM lives in memory that is not there")
	}
	if err := vm.Err(); err == nil {
		t.Error("it ended for no reason")
	}
	snaps, _ := backend.Snapshots()
	if err := snaps.Save(t.Context(), vm); err == nil {
		t.Error("it was saved")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
