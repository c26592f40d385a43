package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/vmm"
	"aegis/internal/vmm/fake"
	"aegis/internal/vmm/vmmtest"
	"aegis/internal/vmm/vmmtest/guest"
)

func TestContract(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	vmmtest.Run(t, &fake.Backend{Guest: serve}, vmmtest.Assets{Kernel: empty, Initrd: empty, Crash: fake.Crash})
}

// serve is the suite's guest as a function.
func serve(ctx context.Context, ports map[string]net.Conn, console io.Writer, cfg vmm.Config) error {
	end := make(chan struct{}, 1)
	disks := disks(cfg.Disks)
	machine := guest.Machine{
		PowerOff:  func() { end <- struct{}{} },
		Panic:     func() { fmt.Fprintln(console, "Kernel panic"); end <- struct{}{} },
		ReadDisk:  disks.read,
		WriteDisk: disks.write,
		DropDisk:  disks.drop,
		Remember:  func(word string) { fake.Memory(ctx).Store([]byte(word)) },
		Recall:    func() string { return string(fake.Memory(ctx).Load()) },
	}
	go guest.Serve(ports[vmm.PortFS.Name], machine)
	go func() {
		if !fake.Memory(ctx).Restored() {
			io.WriteString(ports[vmm.PortControl.Name], "ready\n")
		}
		guest.Serve(ports[vmm.PortControl.Name], machine)
	}()
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// disks are found by serial number, as in a real guest.
type disks []vmm.Disk

func (d disks) read(serial string, n int) ([]byte, error) {
	for _, disk := range d {
		if disk.Serial == serial {
			buf := make([]byte, n)
			_, err := disk.File.ReadAt(buf, 0)
			return buf, err
		}
	}
	return nil, errors.New("no disk " + serial)
}

func (d disks) write(serial string, data []byte) error {
	for _, disk := range d {
		if disk.Serial == serial {
			_, err := disk.File.WriteAt(data, 0)
			return err
		}
	}
	return errors.New("no disk " + serial)
}

func (d disks) drop(serial string) (int64, error) {
	for _, disk := range d {
		if disk.Serial == serial {
			info, err := disk.File.Stat()
			if err != nil {
				return 0, err
			}
			return info.Size(), nil
		}
	}
	return 0, errors.New("no disk " + serial)
}

func TestErrors(t *testing.T) {
	want := errors.New("no such thing")
	b := &fake.Backend{Guest: serve, ProbeErr: want, BootErr: want}
	if err := b.Probe(t.Context()); err != want {
		t.Error(err)
	}
	if _, err := b.Boot(t.Context(), vmm.Config{}); !errors.Is(err, want) {
		t.Error(err)
	}
}

// bootable adds to cfg what no VM is without.
func bootable(t *testing.T, cfg vmm.Config) vmm.Config {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cfg.Kernel, cfg.Initrd, cfg.CPUs, cfg.Memory = f, f, 1, 1<<20
	return cfg
}

// Others' tests rely on it: a real monitor would take the wrong shape without a word.
func TestRestoreRefusesAnotherShape(t *testing.T) {
	b := &fake.Backend{Guest: serve, Build: "1"}
	dir, ports := t.TempDir(), []vmm.Port{vmm.PortControl, vmm.PortFS}
	disks := []vmm.Disk{{Serial: "disk"}}
	vm, err := b.Boot(t.Context(), bootable(t, vmm.Config{Ports: ports, Disks: disks, Template: dir}))
	if err != nil {
		t.Fatal(err)
	}
	snaps, _ := b.Snapshots()
	if err := snaps.Save(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	same := vmm.Config{CPUs: 1, Memory: 1 << 20, Ports: ports, Disks: disks}
	other := map[string]vmm.Config{
		"processors": {CPUs: 2, Memory: 1 << 20, Ports: ports, Disks: disks},
		"memory":     {CPUs: 1, Memory: 2 << 20, Ports: ports, Disks: disks},
		"ports":      {CPUs: 1, Memory: 1 << 20, Ports: ports[:1], Disks: disks},
		"disks":      {CPUs: 1, Memory: 1 << 20, Ports: ports},
		"NIC":        {CPUs: 1, Memory: 1 << 20, Ports: ports, Disks: disks, NIC: &vmm.NIC{}},
	}
	for what, cfg := range other {
		if vm, err := snaps.Restore(t.Context(), dir, cfg); err == nil {
			vm.Close()
			t.Errorf("other %s are restored", what)
		}
	}
	later, _ := (&fake.Backend{Guest: serve, Build: "2"}).Snapshots()
	if vm, err := later.Restore(t.Context(), dir, same); err == nil {
		vm.Close()
		t.Error("a template of another build is restored")
	}
	vm, err = snaps.Restore(t.Context(), dir, same)
	if err != nil {
		t.Fatal(err)
	}
	vm.Close()
}

func TestSnapshotErrors(t *testing.T) {
	want := errors.New("no such thing")
	b := &fake.Backend{Guest: serve, SaveErr: want, RestoreErr: want, ReplaceErr: want}
	vm, err := b.Boot(t.Context(), bootable(t, vmm.Config{Template: t.TempDir(), Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, Disks: []vmm.Disk{{Serial: "disk"}}}))
	if err != nil {
		t.Fatal(err)
	}
	snaps, _ := b.Snapshots()
	if err := snaps.Replace(t.Context(), vm, "disk", os.Stdin); !errors.Is(err, want) {
		t.Error(err)
	}
	if err := snaps.Save(t.Context(), vm); !errors.Is(err, want) || !errors.Is(vm.Err(), vmm.ErrClosed) {
		t.Error(err, vm.Err())
	}
	if _, err := snaps.Restore(t.Context(), t.TempDir(), vmm.Config{}); !errors.Is(err, want) {
		t.Error(err)
	}
	if _, ok := (&fake.Backend{NoSnapshots: true}).Snapshots(); ok {
		t.Error("there are snapshots")
	}
}

func TestFailedSaveLeavesNothing(t *testing.T) {
	b := &fake.Backend{Guest: serve}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil { // where a file belongs
		t.Fatal(err)
	}
	vm, err := b.Boot(t.Context(), bootable(t, vmm.Config{Template: dir, Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}}))
	if err != nil {
		t.Fatal(err)
	}
	snaps, _ := b.Snapshots()
	if snaps.Save(t.Context(), vm) == nil {
		t.Error("a template without a state is saved")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
