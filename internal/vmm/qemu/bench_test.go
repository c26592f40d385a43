package qemu_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
)

// stamps notes when init's first line is on the console, which comes in pieces.
type stamps struct {
	seen *bytes.Buffer
	up   chan time.Time
}

func (s stamps) Write(b []byte) (int, error) {
	s.seen.Write(b)
	if bytes.Contains(s.seen.Bytes(), []byte("init: up")) {
		s.up <- time.Now()
		s.seen.Reset()
	}
	return len(b), nil
}

// BenchmarkColdBoot prints the milliseconds from spawning the monitor until /init
// runs and until its first byte on the control channel.
func BenchmarkColdBoot(b *testing.B) {
	image, initrd := assets(b)
	for b.Loop() {
		start := time.Now()
		s := stamps{new(bytes.Buffer), make(chan time.Time, 1)}
		vm := boot(b, image, initrd, s)
		control, err := vm.Channel(b.Context(), vmm.PortControl)
		if err != nil {
			b.Fatal(err)
		}
		control.SetDeadline(time.Now().Add(60 * time.Second))
		if line, err := bufio.NewReader(control).ReadString('\n'); err != nil || line != "ready\n" {
			b.Fatal(line, err)
		}
		ready := time.Since(start)
		fmt.Printf("init %4d ms  control %4d ms\n", (<-s.up).Sub(start).Milliseconds(), ready.Milliseconds())
		control.Close()
		vm.Close()
	}
}

func boot(tb testing.TB, image, initrd string, console stamps) vmm.VM {
	tb.Helper()
	k, err := os.Open(image)
	if err != nil {
		tb.Fatal(err)
	}
	defer k.Close()
	r, err := os.Open(initrd)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	vm, err := qemu.New(qemu.TCG).Boot(tb.Context(), vmm.Config{
		Dir: tb.TempDir(), Kernel: k, Initrd: r, CPUs: 1, Memory: 512 << 20,
		Ports: []vmm.Port{vmm.PortControl}, Console: console, Log: os.Stderr,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { vm.Close() })
	return vm
}
