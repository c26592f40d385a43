package vmmtest

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/vmmtest/guest"
)

// big is more than all buffers between host and guest hold.
const big = 4 << 20 // bytes

func channels(s *suite) {
	vm := s.boot(s.config())
	c := s.take(vm, vmm.PortControl)
	c.send("hello") // before the guest has opened its end
	c.expect("ready")
	c.expect("hello")
	if _, err := vm.Channel(s.Context(), vmm.PortControl); err == nil {
		s.Error("a port can be taken twice")
	}
	if _, err := vm.Channel(s.Context(), vmm.Port{Name: "aegis.none", Number: 9}); err == nil {
		s.Error("a port that was not asked for can be taken")
	}
	c.sum(big)
	c.send("make %d", big)
	c.expectStream(big, big)
	c.echo(big / 4)
	other := s.take(vm, vmm.PortFS)
	other.send("hello")
	c.send("hello")
	other.expect("hello")
	c.expect("hello")
	s.load(c, other)
}

// load fills several channels at once, both ways each.
func (s *suite) load(channels ...*control) {
	s.Helper()
	var wg sync.WaitGroup
	for _, c := range channels {
		wg.Go(func() {
			if err := c.echoes(big / 4); err != nil {
				s.Errorf("of channels that are full at once: %v", err)
			}
		})
	}
	wg.Wait()
}

func pauses(s *suite) {
	vm, c := s.ready()
	for range 2 {
		if err := vm.Pause(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	c.send("hello")
	c.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if line, err := c.in.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Fatalf("a paused guest answers %q, %v", line, err)
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	for range 2 {
		if err := vm.Resume(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	c.expect("hello")

	// Bytes that are under way when the guest stops arrive after it goes on.
	c.send("make %d", big)
	half := make([]byte, big/2)
	if _, err := io.ReadFull(c.in, half); err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(vm.Pause(s.Context()), vm.Resume(s.Context())); err != nil {
		s.Fatal(err)
	}
	rest := make([]byte, big/2)
	if _, err := io.ReadFull(c.in, rest); err != nil {
		s.Fatal(err)
	}
	want := make([]byte, big)
	io.ReadFull(guest.Stream(big), want)
	if string(half)+string(rest) != string(want) {
		s.Error("a pause changed bytes that were under way")
	}
	select {
	case <-vm.Done():
		s.Errorf("the VM ended: %v", vm.Err())
	default:
	}
}

func powersOff(s *suite) {
	vm, c := s.ready()
	c.send("poweroff")
	if err := s.ended(vm); err != nil {
		s.Errorf("after a power-off Err is %v", err)
	}
	s.refuses(vm, vmm.ErrEnded)
}

// refuses checks what an ended VM answers.
func (s *suite) refuses(vm vmm.VM, want error) {
	s.Helper()
	_, err := vm.Channel(s.Context(), vmm.PortFS)
	for what, err := range map[string]error{"channel": err, "pause": vm.Pause(s.Context()), "resume": vm.Resume(s.Context())} {
		if !errors.Is(err, want) {
			s.Errorf("%s answers %v, not %v", what, err, want)
		}
	}
}

func panics(s *suite) {
	vm, c := s.ready()
	c.send("panic")
	if err := s.ended(vm); err != nil {
		s.Errorf("after a panic Err is %v", err)
	}
	if said := vm.console.String(); !strings.Contains(said, "Kernel panic") {
		s.Errorf("the console has no panic:\n%s", said)
	}
}

// dies kills monitors of which one has just begun, one is stopped, and one is busy.
func dies(s *suite) {
	s.killed(s.boot(s.config()))

	stopped := s.boot(s.config())
	if err := stopped.Pause(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.killed(stopped)

	busy, c := s.ready()
	c.send("make %d", 8*big) // nobody reads it
	s.killed(busy)
}

// killed ends a monitor from outside.
func (s *suite) killed(vm *booted) {
	s.Helper()
	if s.assets.Crash != nil {
		s.assets.Crash(vm.VM)
	} else if err := syscall.Kill(vm.PID(), syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	if err := s.ended(vm); err == nil || errors.Is(err, vmm.ErrClosed) {
		s.Errorf("after the monitor was killed Err is %v", err)
	}
	s.refuses(vm, vmm.ErrEnded)
}

func disks(s *suite) {
	cfg := s.config()
	ro, rw := s.disk("only-read"), s.disk("read-write")
	cfg.Disks = []vmm.Disk{
		{Serial: "base", File: s.open(ro, os.O_RDONLY), ReadOnly: true},
		{Serial: "disk", File: s.open(rw, os.O_RDWR)},
	}
	c := s.take(s.boot(cfg), vmm.PortControl)
	c.expect("ready")
	c.send("read base")
	c.expect(hex.EncodeToString([]byte("only-read\x00\x00\x00\x00\x00\x00\x00")))
	c.send("write base evil")
	if got := c.line(); !strings.HasPrefix(got, "error") {
		s.Errorf("writing to a read-only disk says %q", got)
	}
	c.send("write disk kept")
	c.expect("ok")
	for path, want := range map[string]string{ro: "only-read", rw: "kept-write"} {
		if data, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(data), want) {
			s.Errorf("%s holds %.10q (%v), want %q", path, data, err, want)
		}
	}
}

// disk makes a raw image of 1 MiB that begins with text.
func (s *suite) disk(text string) string { s.Helper(); return s.diskOf(text, 1<<20) }

func (s *suite) diskOf(text string, size int64) string {
	s.Helper()
	path := filepath.Join(s.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Truncate(path, size)); err != nil {
		s.Fatal(err)
	}
	return path
}

func closes(s *suite) {
	early := s.boot(s.config())
	s.closed(early)

	vm, c := s.ready()
	c.send("make %d", 8*big) // nobody reads it
	if err := vm.Pause(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.closed(vm)
}

// closed closes a VM from several sides.
func (s *suite) closed(vm vmm.VM) {
	s.Helper()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := vm.Close(); err != nil {
				s.Errorf("close: %v", err)
			}
			select {
			case <-vm.Done():
			default:
				s.Error("Close returned before Done")
			}
		})
	}
	wg.Wait()
	if err := vm.Err(); !errors.Is(err, vmm.ErrClosed) {
		s.Errorf("after Close Err is %v", err)
	}
	s.refuses(vm, vmm.ErrClosed)
}

func two(s *suite) {
	base := s.disk("shared")
	var controls []*control
	for range 2 {
		cfg := s.config()
		cfg.Disks = []vmm.Disk{{Serial: "base", File: s.open(base, os.O_RDONLY), ReadOnly: true}}
		controls = append(controls, s.take(s.boot(cfg), vmm.PortControl))
	}
	for _, c := range controls {
		c.expect("ready")
	}
	controls[0].send("poweroff")
	if err := s.ended(s.vms[0]); err != nil {
		s.Error(err)
	}
	controls[1].send("read base")
	controls[1].expect(hex.EncodeToString([]byte("shared\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")))
}

// blocked is a writer that takes nothing until it is released.
type blocked chan struct{}

func (w blocked) Write(b []byte) (int, error) {
	<-w
	return len(b), nil
}

func stuckConsole(s *suite) {
	cfg := s.config()
	stuck := make(blocked)
	defer close(stuck)
	cfg.Console, cfg.Log = stuck, stuck
	vm := s.boot(cfg)
	c := s.take(vm, vmm.PortControl)
	c.expect("ready")
	c.send("poweroff")
	if err := s.ended(vm); err != nil {
		s.Error(err)
	}
}

// refused has Boot called too late, and with what no VM can be made of.
func refused(s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	s.unbooted(ctx, "after its context ended", func(*vmm.Config) {})
	if s.backend.Caps().OwnKernel {
		s.unbooted(s.Context(), "without a harness", func(c *vmm.Config) { c.Harness.Close(); c.Harness = nil })
	} else {
		s.unbooted(s.Context(), "without a kernel", func(c *vmm.Config) { c.Kernel.Close(); c.Kernel = nil })
		s.unbooted(s.Context(), "without an initramfs", func(c *vmm.Config) { c.Initrd.Close(); c.Initrd = nil })
	}
	for what, spoil := range map[string]func(*vmm.Config){
		"without a processor":        func(c *vmm.Config) { c.CPUs = 0 },
		"with too many processors":   func(c *vmm.Config) { c.CPUs = s.backend.Caps().MaxCPUs + 1 },
		"with too little memory":     func(c *vmm.Config) { c.Memory = s.backend.Caps().MinMemory - 1<<20 },
		"with half a MiB":            func(c *vmm.Config) { c.Memory += 1 << 19 },
		"with one port twice":        func(c *vmm.Config) { c.Ports = append(c.Ports, c.Ports[0]) },
		"with a port without a name": func(c *vmm.Config) { c.Ports[0].Name = "" },
		"with one disk twice":        func(c *vmm.Config) { c.Disks = []vmm.Disk{{Serial: "disk"}, {Serial: "disk"}} },
		"with a disk's odd name":     func(c *vmm.Config) { c.Disks = []vmm.Disk{{Serial: "disk,if=none"}} },
		"with a disk's long name":    func(c *vmm.Config) { c.Disks = []vmm.Disk{{Serial: strings.Repeat("d", 21)}} },
	} {
		s.unbooted(s.Context(), what, spoil)
	}
}

// unbooted wants an error of Boot, and an empty directory.
func (s *suite) unbooted(ctx context.Context, what string, spoil func(*vmm.Config)) {
	s.Helper()
	cfg := s.config()
	spoil(&cfg)
	defer s.closeFiles(cfg)
	if vm, err := s.backend.Boot(ctx, cfg); err == nil {
		vm.Close()
		s.Errorf("a VM boots %s", what)
	}
	if left := names(s, cfg.Dir); len(left) > 0 {
		s.Errorf("a VM that does not boot %s leaves %v", what, left)
	}
}
