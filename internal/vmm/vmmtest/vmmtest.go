// Package vmmtest is the contract of package vmm as tests. Every backend's own
// test calls Run, the in-memory fake included; nothing else imports it. It boots
// the guest of testdata/init, which serves package guest on the control port.
package vmmtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"aegis/internal/vmm"
)

// Assets is what the backend under test boots.
type Assets struct {
	Kernel string // path
	Initrd string // path, of an initramfs whose /init is testdata/init

	Harness string // path of testdata/init, where Caps.OwnKernel holds: then there is nothing else

	// Confinement is the rung that holds the monitors; "" is none. The test binary passes
	// its arguments to confine.Main then.
	Confinement string

	// Crash ends a VM as SIGKILL to its monitor would; nil sends that to VM.PID.
	Crash func(vmm.VM)

	// Confinements are the rungs that the machine allows; clones are restored on each.
	Confinements []string
}

// patience bounds each wait for a guest: an emulated one boots in seconds, on a
// busy machine in ten times that.
const patience = 120 * time.Second

// Run holds a backend to the contract. Each test also checks that no process,
// descriptor or file is left.
func Run(t *testing.T, backend vmm.Backend, assets Assets) {
	if err := backend.Probe(t.Context()); err != nil {
		t.Skipf("pending: %s can't run here: %v", backend.Name(), err)
	}
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"channels carry bytes both ways", channels},
		{"pause stops and resume goes on", pauses},
		{"a power-off is a clean end", powersOff},
		{"a panic ends the VM", panics},
		{"a killed monitor is an error", dies},
		{"disks are what they were opened for", disks},
		{"frames go both ways", frames},
		{"close works at any moment", closes},
		{"two VMs run at once", two},
		{"a stuck console stops nobody", stuckConsole},
		{"a refused boot leaves nothing", refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, backend: backend, assets: assets}
			before := descriptors(t)
			test.run(s)
			s.nothingLeft(before)
		})
	}
	t.Run("templates", func(t *testing.T) { snapshots(t, backend, assets) })
}

// EnvInit names the suite's init program, where there is no compiler: in the lab.
const EnvInit = "AEGIS_TEST_INIT"

// BuildInit compiles the suite's init program for the host's architecture into a
// temporary file.
func BuildInit(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv(EnvInit); path != "" {
		return path
	}
	return BuildInitFor(tb, runtime.GOARCH)
}

// BuildInitFor compiles it for another architecture, as GOARCH.
func BuildInitFor(tb testing.TB, arch string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "init")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "aegis/internal/vmm/vmmtest/testdata/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build init: %v\n%s", err, out)
	}
	return path
}

// suite is one test's VMs.
type suite struct {
	*testing.T
	backend vmm.Backend
	assets  Assets
	mu      sync.Mutex // of vms
	vms     []*booted
	conns   []*net.UnixConn // taken from them
}

// booted is a VM with its console's text.
type booted struct {
	vmm.VM
	dir     string
	console *text
}

// config is an ordinary VM of the suite.
func (s *suite) config() vmm.Config {
	cfg := vmm.Config{
		Dir: s.TempDir(), Confinement: s.assets.Confinement,
		CPUs: 1, Memory: 256 << 20, Ports: []vmm.Port{vmm.PortControl, vmm.PortFS},
		Console: &text{}, Log: &text{},
	}
	if s.backend.Caps().OwnKernel {
		cfg.Harness = s.open(s.assets.Harness, os.O_RDONLY)
	} else {
		cfg.Kernel, cfg.Initrd = s.open(s.assets.Kernel, os.O_RDONLY), s.open(s.assets.Initrd, os.O_RDONLY)
	}
	return cfg
}

// boot boots cfg and closes its files, as the contract allows.
func (s *suite) boot(cfg vmm.Config) *booted {
	s.Helper()
	vm, err := s.backend.Boot(s.Context(), cfg)
	s.closeFiles(cfg)
	if err != nil {
		s.Fatal(err)
	}
	return s.keep(vm, cfg)
}

// keep has a VM closed in the end, and looks then for what it leaves.
func (s *suite) keep(vm vmm.VM, cfg vmm.Config) *booted {
	console, _ := cfg.Console.(*text)
	log, _ := cfg.Log.(*text)
	s.Cleanup(func() {
		vm.Close()
		if s.Failed() && console != nil && log != nil {
			s.Logf("the console:\n%s\nthe monitor:\n%s", console, log)
		}
	})
	b := &booted{VM: vm, dir: cfg.Dir, console: console}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vms = append(s.vms, b)
	return b
}

func (s *suite) closeFiles(cfg vmm.Config) {
	cfg.Kernel.Close() // nothing, where it is nil
	cfg.Initrd.Close()
	cfg.Harness.Close()
	for _, d := range cfg.Disks {
		d.File.Close()
	}
}

func (s *suite) open(path string, flags int) *os.File {
	s.Helper()
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		s.Fatal(err)
	}
	return f
}

// ended waits for a VM's end and gives its cause.
func (s *suite) ended(vm vmm.VM) error {
	s.Helper()
	select {
	case <-vm.Done():
	case <-time.After(patience):
		s.Fatal("the VM did not end")
	}
	return vm.Err()
}

// nothingLeft closes all and looks for what should be gone.
func (s *suite) nothingLeft(before int) {
	s.Helper()
	for _, vm := range s.vms {
		pid := vm.PID()
		if err := vm.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
		if pid != os.Getpid() && isOurChild(pid) {
			s.Errorf("process %d is left", pid)
		}
		if entries, err := os.ReadDir(vm.dir); err != nil || len(entries) > 0 {
			s.Errorf("left in the VM's directory: %v, %v", entries, err)
		}
	}
	for _, c := range s.conns {
		c.Close()
	}
	// The runtime may close a descriptor a moment after its last use.
	for end := time.Now().Add(2 * time.Second); descriptors(s.T) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Errorf("%d descriptors are open, %d were before", descriptors(s.T), before)
			return
		}
	}
}

// text is a writer that others may read.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *text) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
