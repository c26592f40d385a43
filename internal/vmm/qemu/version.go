package qemu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// Version implements vmm.Snapshotter. The clock's rate is not in it, for no two
// measurements agree to the last digit: Restore compares it with the template's.
func (s snapshotter) Version(ctx context.Context) (string, error) {
	bin, err := find(s.b.arch)
	if err != nil {
		return "", err
	}
	major, err := bin.version(ctx)
	if err != nil {
		return "", err
	}
	build, err := bin.build()
	if err != nil {
		return "", fmt.Errorf("tell QEMU's build: %w", err)
	}
	cpu, err := monitor.Processor()
	if err != nil {
		return "", fmt.Errorf("tell the processor: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%s\n%s\n", format, build, cpu, strings.Join(canon(boards[s.b.arch], s.b.accel(), major), "\x00"))
	return fmt.Sprintf("qemu-%d-%s", major, hex.EncodeToString(h.Sum(nil)[:16])), nil
}

// build tells one build of the emulator from another without reading its 20 MB.
func (b binary) build() (string, error) {
	info, err := os.Stat(string(b))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %d", string(b), info.Size(), info.ModTime().UnixNano()), nil
}

// canon is the command line of a fixed machine with every kind of device: it changes
// when this package begins to build others, whose state does not fit.
func canon(board board, accel Accel, major int) []string {
	p := newPlan(vmm.Config{CPUs: 1, Memory: minMemory, Ports: []vmm.Port{vmm.PortControl}, NIC: &vmm.NIC{},
		Disks: []vmm.Disk{{Serial: "a", ReadOnly: true}, {Serial: "b"}}}, make([]*os.File, 2), func(*os.File) int { return noFile })
	p.board, p.accel, p.major, p.ram = board, accel, major, &ramArg{noFile, true}
	return p.command()
}
