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
	}
	go guest.Serve(ports[vmm.PortFS.Name], machine)
	go func() {
		io.WriteString(ports[vmm.PortControl.Name], "ready\n")
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
