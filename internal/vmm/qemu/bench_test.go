package qemu_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aegis/internal/kernel"
	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
)

// assets gives a kernel and an initramfs with the contract's init. They come from
// AEGIS_CACHE when that is set, else they are made for this run.
func assets(tb testing.TB) (image, initrd string) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "kernel")
	if cache := os.Getenv("AEGIS_CACHE"); cache != "" {
		dir = filepath.Join(cache, "kernel")
	}
	k, err := kernel.Ensure(tb.Context(), dir, runtime.GOARCH, nil)
	if err != nil {
		tb.Skipf("pending: no guest kernel can be had here: %v", err)
	}
	init := filepath.Join(tb.TempDir(), "init")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", init, "../vmmtest/testdata/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build init: %v\n%s", err, out)
	}
	initrd, err = kernel.Initrd(tb.Context(), k, init, tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return k.Image, initrd
}

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
	if extra := os.Getenv("AEGIS_IMAGE"); extra != "" {
		image = extra
	}
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
		Args: strings.Fields(os.Getenv("AEGIS_ARGS")),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { vm.Close() })
	return vm
}
