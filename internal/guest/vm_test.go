//go:build linux

package guest_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/wire"
)

// bootTime is generous: emulation on a busy machine.
const bootTime = 2 * time.Minute

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
	if err := b.link.Shutdown(t.Context(), wire.Shutdown{Grace: 10 * time.Second}, func() {}); err != nil {
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
