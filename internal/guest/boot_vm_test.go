//go:build linux

package guest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aegis/internal/guest"
	"aegis/internal/image"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
	"aegis/internal/wire"
	"aegis/internal/workspace"
)

// tail keeps what a console printed.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *tail) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *tail) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// assets are what setup makes, or a reason to wait for it.
func assets(t *testing.T) (kernel.Kernel, image.Image) {
	t.Helper()
	if os.Getenv("AEGIS_CACHE") == "" {
		t.Skip("pending: AEGIS_CACHE names no directory with a kernel and an image (make test sets it)")
	}
	home, err := paths.Locate(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.New(qemu.TCG).Probe(t.Context()); err != nil {
		t.Skip("pending: " + err.Error())
	}
	k, err := kernel.Open(home.Kernels(), runtime.GOARCH)
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	img, err := image.Open(home.Images(), image.DefaultName, "")
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	return k, img
}

// booted is a microVM with its link open and nothing started.
type booted struct {
	vm      vmm.VM
	control net.Conn // the control channel, once it was taken
	link    *guest.Link
	console *tail
	disk    string
	shared  string // the workspace
	image   image.Image
	network *wire.Network
}

func open(t *testing.T, name string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// harnessInitrd builds the harness as it is now.
func harnessInitrd(t *testing.T, k kernel.Kernel) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "aegis-harness")
	build := exec.Command("go", "build", "-o", bin, "aegis/cmd/aegis-harness")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the harness: %v\n%s", err, out)
	}
	initrd, err := kernel.Initrd(t.Context(), k, bin, dir)
	if err != nil {
		t.Fatal(err)
	}
	return initrd
}

func boot(t *testing.T, disk string, more ...vmm.Port) *booted {
	t.Helper()
	b := power(t, disk, more...)
	b.serveWorkspace(t)
	b.open(t, guest.Open)
	return b
}

// open says hello.
func (b *booted) open(t *testing.T, how func(context.Context, net.Conn) (*guest.Link, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	var err error
	if b.link, err = how(ctx, b.channel(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.link.Close() })
}

// channel is the control channel.
func (b *booted) channel(t *testing.T) net.Conn {
	t.Helper()
	if b.control == nil {
		channel, err := b.vm.Channel(t.Context(), vmm.PortControl)
		if err != nil {
			t.Fatal(err)
		}
		b.control = channel
	}
	return b.control
}

// power starts a VM, to which nobody has spoken.
func power(t *testing.T, disk string, more ...vmm.Port) *booted {
	t.Helper()
	k, img := assets(t)
	b := &booted{console: &tail{}, disk: disk, shared: t.TempDir(), image: img}
	vm, err := qemu.New(qemu.TCG).Boot(t.Context(), vmm.Config{
		Dir:     t.TempDir(),
		Kernel:  open(t, k.Image, os.O_RDONLY),
		Initrd:  open(t, harnessInitrd(t, k), os.O_RDONLY),
		CPUs:    1,
		Memory:  512 << 20,
		Ports:   append([]vmm.Port{vmm.PortControl, vmm.PortFS}, more...),
		Console: b.console,
		Log:     b.console,
		Disks: []vmm.Disk{
			{Serial: "base", File: open(t, img.Path, os.O_RDONLY), ReadOnly: true},
			{Serial: "disk", File: open(t, disk, os.O_RDWR)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.vm = vm
	t.Cleanup(func() {
		vm.Close()
		if t.Failed() {
			t.Logf("console:\n%s", b.console)
		}
	})
	return b
}

func (b *booted) serveWorkspace(t *testing.T) {
	t.Helper()
	fs, err := b.vm.Channel(t.Context(), vmm.PortFS)
	if err != nil {
		t.Fatal(err)
	}
	root := open(t, b.shared, os.O_RDONLY)
	served := make(chan struct{})
	go func() {
		defer close(served)
		workspace.Serve(context.Background(), root, fs, workspace.Options{})
	}()
	t.Cleanup(func() { fs.Close(); <-served })
}

func (b *booted) start(t *testing.T, p wire.Process) (*guest.Process, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	process, stages, err := b.link.Start(ctx, b.startOf(p))
	t.Logf("stages: %v", stages)
	return process, err
}

// startOf is the message that starts p.
func (b *booted) startOf(p wire.Process) wire.Start {
	seed := make([]byte, 32)
	rand.Read(seed)
	return wire.Start{
		Seed:      seed,
		Clock:     wire.Clock{UnixNano: time.Now().UnixNano()},
		Hostname:  "tested",
		MachineID: strings.Repeat("0a", 16),
		Root:      wire.Root{Base: "base", Disk: "disk", BaseType: b.image.Type},
		Workspace: &wire.Workspace{},
		Network:   b.network,
		BaseEnv:   map[string]string{"API_KEY": "for-the-process"},
		Main:      p,
	}
}

// blankDisk is an instance's new disk.
func blankDisk(t *testing.T) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, image.MinDisk); err != nil {
		t.Fatal(err)
	}
	mkfs := exec.Command("mkfs.ext4", "-q", disk)
	mkfs.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := mkfs.CombinedOutput(); err != nil {
		t.Skipf("pending: mkfs.ext4 (e2fsprogs) is needed: %v %s", err, out)
	}
	return disk
}
