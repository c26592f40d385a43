//go:build linux

package guest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/image"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
	"aegis/internal/wire"
	"aegis/internal/workspace"
)

// bootTime is generous: emulation on a busy machine.
const bootTime = 2 * time.Minute

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
	k, err := kernel.Open(home.Kernels())
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	img, err := image.Open(home.Images(), image.DefaultName)
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

// collect follows a process to its end.
func collect(t *testing.T, p *guest.Process) (stdout, stderr string, exit wire.Exit) {
	t.Helper()
	var out, errs bytes.Buffer
	for {
		kind, payload, err := p.Next()
		if err != nil {
			t.Fatalf("after %q, %q: %v", out.String(), errs.String(), err)
		}
		switch kind {
		case wire.FrameStdout:
			out.Write(payload)
		case wire.FrameStderr:
			errs.Write(payload)
		case wire.FrameExit:
			exit, _ = wire.ParseExit(payload)
			return out.String(), errs.String(), exit
		}
	}
}

func (b *booted) exec(t *testing.T, id string, args ...string) (string, wire.Exit) {
	t.Helper()
	p, err := b.link.Exec(t.Context(), wire.Process{ID: id, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	out, errs, exit := collect(t, p)
	return out + errs, exit
}

func (b *booted) shutdown(t *testing.T) {
	t.Helper()
	if err := b.link.Shutdown(t.Context(), 10*time.Second, func() {}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.vm.Done():
	case <-time.After(bootTime):
		t.Fatal("the VM did not end after Shutdown")
	}
	if strings.Contains(b.console.String(), "shut down:") {
		t.Errorf("the shutdown was not clean")
	}
}

// TestVM is a life of an instance on a real microVM: a server that is reached by
// Dial, execs beside it, its workspace, and a clean end.
func TestVM(t *testing.T) {
	disk := blankDisk(t)
	b := boot(t, disk)
	os.WriteFile(filepath.Join(b.shared, "index.html"), []byte("hello from the host"), 0o644)
	main, err := b.start(t, wire.Process{Args: []string{"python3", "-m", "http.server", "80"}, Dir: "/workspace"})
	if err != nil {
		t.Fatal(err)
	}
	exit := make(chan wire.Exit, 1)
	go func() {
		for {
			kind, payload, err := main.Next()
			if err != nil {
				return
			}
			if kind == wire.FrameExit {
				e, _ := wire.ParseExit(payload)
				exit <- e
				return
			}
		}
	}()
	if page := b.get(t, 80); page != "hello from the host" {
		t.Errorf("the server answers %q", page)
	}
	b.roundTrips(t)
	b.checks(t)
	b.kills(t)
	b.shutdown(t)
	if e := <-exit; e.Status() != 143 {
		t.Errorf("main ended with %+v, want SIGTERM", e)
	}
	if out, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput(); err != nil {
		t.Errorf("the disk is not clean: %v\n%s", err, out)
	}
}

func (b *booted) get(t *testing.T, port uint16) string {
	t.Helper()
	c, err := b.link.Dial(t.Context(), port, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req, _ := http.NewRequest("GET", "http://tested/index.html", nil)
	req.Close = true
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body
}

// checks are one-line execs with the output that each must have.
func (b *booted) checks(t *testing.T) {
	for id, c := range map[string]struct{ script, want string }{
		"write":     {"echo -n written > /workspace/file; cat /workspace/index.html", "hello from the host"},
		"env":       {"echo -n $API_KEY $HOSTNAME $HOME", "for-the-process tested /root"},
		"hostname":  {"cat /proc/sys/kernel/hostname", "tested\n"},
		"machine":   {"cat /etc/machine-id", strings.Repeat("0a", 16) + "\n"},
		"dir":       {"pwd", "/workspace\n"},
		"score":     {"cat /proc/self/oom_score_adj", "0\n"},
		"signals":   {"grep -E '^Sig(Blk|Ign)' /proc/self/status", "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"},
		"nothing":   {"ls -d /aegis /modules /init 2>&1 | grep -v 'No such'", ""},
		"group":     {"sed 's/[0-9]*$/N/' /proc/self/cgroup", "0::/aegis/N\n"},
		"userns":    {"unshare --user true && echo -n yes", "yes"},
		"links":     {"echo -n x > /dev/stdout; ls /dev/fd/0", "x/dev/fd/0\n"},
		"both":      {"python3 -c \"import socket; socket.create_connection(('127.0.0.1',80)); print('up')\"", "up\n"},
		"leftover":  {"sleep 1000 & echo -n at once", "at once"},
		"mounts":    {"cut -d' ' -f5 /proc/self/mountinfo | grep -c aegis", "0\n"},
		"no-shadow": {"grep -c for-the-process /proc/1/environ", "0\n"},
	} {
		if out, _ := b.exec(t, id, "bash", "-c", c.script); out != c.want {
			t.Errorf("%s: %q, want %q", c.script, out, c.want)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(b.shared, "file")); string(text) != "written" {
		t.Errorf("the guest's file on the host holds %q", text)
	}
	if _, err := b.link.Exec(t.Context(), wire.Process{ID: "none", Args: []string{"nonesuch"}}); !fault.Is(err, fault.CommandNotFound) {
		t.Errorf("exec of nothing: %v", err)
	}
	stats, err := b.link.Stats(t.Context())
	if err != nil || stats.CPU == 0 || stats.MemoryUsed == 0 || stats.DiskTotal == 0 || stats.Processes < 2 {
		t.Errorf("stats %+v, %v", stats, err)
	}
}

// roundTrips prints how long an exec takes; no test asserts a time.
func (b *booted) roundTrips(t *testing.T) {
	var took []time.Duration
	for range 10 {
		begin := time.Now()
		b.exec(t, "true", "true")
		took = append(took, time.Since(begin).Round(100*time.Microsecond))
	}
	t.Logf("exec -- true: %v", took)
}

// kills ends processes by memory and by cancelling.
func (b *booted) kills(t *testing.T) {
	if _, e := b.exec(t, "oom", "python3", "-c", "x = [bytearray(1 << 20) for _ in range(4096)]"); !e.OOM || e.Signal != 9 {
		t.Errorf("a process out of memory ended with %+v", e)
	}
	p, err := b.link.Exec(t.Context(), wire.Process{ID: "cancel", Args: []string{"bash", "-c", "setsid sleep 2000 & exec sleep 2000"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Cancel()
	for end := time.Now().Add(30 * time.Second); ; {
		if out, _ := b.exec(t, "look", "bash", "-c", "cat /sys/fs/cgroup/aegis/cancel/cgroup.procs 2>/dev/null | wc -l"); out == "0\n" {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s processes of a cancelled exec live on", out)
		}
	}
}

// TestVMCommandMissing is a start whose command is not there.
func TestVMCommandMissing(t *testing.T) {
	b := boot(t, blankDisk(t))
	if _, err := b.start(t, wire.Process{Args: []string{"nonesuch"}}); !fault.Is(err, fault.CommandNotFound) {
		t.Errorf("start of nothing: %v", err)
	}
	if _, err := b.start(t, wire.Process{Args: []string{"true"}}); !fault.Is(err, fault.WrongState) {
		t.Errorf("second start: %v", err)
	}
	b.link.Close()
	select {
	case <-b.vm.Done():
	case <-time.After(bootTime):
		t.Errorf("the VM lives on without its host")
	}
	if runtime.GOOS == "linux" && !strings.Contains(b.console.String(), "the host is gone") {
		t.Errorf("the console does not say why")
	}
}
