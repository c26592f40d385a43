//go:build linux

package shim

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"
	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

func TestPauseStopsTheGuest(t *testing.T) {
	clock := make(chan wire.Clock, 1)
	w := begin(t, on(wire.OpClock, func(_ *scripted, s *yamux.Stream, req wire.Request) {
		tellHost(s, wire.Reply{})
		clock <- *req.Clock
	}), nil)
	w.mustStart(false)
	for range 2 { // both are idempotent
		if err := w.client.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	second, status, err := Connect(t.Context(), w.dir)
	if err != nil || !status.Paused || !status.Started || status.PID != os.Getpid() {
		t.Fatalf("%+v, %v", status, err)
	}
	second.Leave()
	if len(clock) > 0 {
		t.Error("the clock was set before the guest went on")
	}
	began := time.Now()
	for range 2 {
		if err := w.client.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case c := <-clock:
		if at := time.Unix(0, c.UnixNano); at.Before(began) || time.Since(at) > patience {
			t.Errorf("the clock was set to %s", at)
		}
	case <-time.After(patience):
		t.Fatal("the clock was not set")
	}
}

// A paused guest is stopped in the ordinary way.
func TestStopWhilePaused(t *testing.T) {
	w := begin(t, script{}, nil)
	w.mustStart(false)
	if err := w.client.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Stop(t.Context(), time.Second, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Signal != 15 {
		t.Errorf("%+v: its command got no SIGTERM", exit)
	}
}

func TestExec(t *testing.T) {
	echo := func(_ *scripted, s *yamux.Stream, req wire.Request) {
		tellHost(s, wire.Reply{})
		kind, payload, err := wire.NewFrameReader(s).Next()
		if err != nil || kind != wire.FrameStdin {
			return
		}
		wire.WriteFrame(s, wire.FrameStderr, append([]byte(req.Exec.Args[0]+": "), payload...))
		wire.WriteExit(s, wire.Exit{Code: 9})
	}
	w := begin(t, on(wire.OpExec, echo), nil)
	w.mustStart(false)
	conn, err := w.client.Exec(t.Context(), wire.Process{ID: "exec-1", Args: []string{"cat"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire.WriteFrame(conn, wire.FrameStdin, []byte("meow\n"))
	frames := wire.NewFrameReader(conn)
	if kind, payload, err := frames.Next(); err != nil || kind != wire.FrameStderr || string(payload) != "cat: meow\n" {
		t.Errorf("%d %q %v", kind, payload, err)
	}
	if kind, payload, err := frames.Next(); err != nil || kind != wire.FrameExit || !strings.Contains(string(payload), "9") {
		t.Errorf("%d %q %v", kind, payload, err)
	}
	if _, _, err := frames.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the exit: %v", err)
	}
	w.await(logged(w, `"line":"cat: meow"`), "the log")
	if !strings.Contains(w.lines(), `"exec_id":"exec-1"`) {
		t.Errorf("%s", w.lines())
	}
}

// logged closes when the log holds text.
func logged(w *world, text string) <-chan struct{} {
	found := make(chan struct{})
	go func() {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if strings.Contains(w.lines(), text) {
				close(found)
				return
			}
		}
	}()
	return found
}

// A client that goes ends its exec, also one that the guest takes nothing from.
func TestExecEndsWithItsClient(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	w := begin(t, on(wire.OpExec, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		close(begun)
		for { // writes until the stream is reset, and reads nothing
			if wire.WriteFrame(s, wire.FrameStdout, []byte("tick\n")) != nil {
				close(ended)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}), nil)
	w.mustStart(false)
	conn, err := w.client.Exec(t.Context(), wire.Process{ID: "exec-1", Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	w.await(begun, "the exec")
	conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for wire.WriteFrame(conn, wire.FrameSignal, []byte{1}) == nil { // until all buffers are full
	}
	conn.Close()
	w.await(ended, "the end of the exec")
}

func TestDial(t *testing.T) {
	w := begin(t, on(wire.OpDial, func(_ *scripted, s *yamux.Stream, req wire.Request) {
		if req.Dial.Port != 80 {
			tellHost(s, wire.Reply{Error: &wire.Error{Kind: fault.Timeout, Why: "nothing listens"}})
			return
		}
		tellHost(s, wire.Reply{})
		body, _ := io.ReadAll(s) // the request's end comes through
		s.Write(append([]byte("echo "), body...))
		s.Close()
	}), nil)
	w.mustStart(false)
	if _, err := w.client.Dial(t.Context(), 81, 0); !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("%v", err)
	}
	conn, err := w.client.Dial(t.Context(), 80, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("hello"))
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "echo hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What comes after the end says so, and not that a boot failed.
func TestAfterTheEnd(t *testing.T) {
	w := begin(t, on(wire.OpStart, command(wire.Exit{}, "", "")), nil)
	w.mustStart(false)
	w.exit()
	if err := w.run.reach(t.Context()); !fault.Is(err, fault.WrongState) || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the shim: %v", err)
	}
	if _, err := w.client.Dial(t.Context(), 80, 0); !fault.Is(err, fault.WrongState) {
		t.Errorf("the client: %v", err)
	}
}

// Only its user may speak to a shim, whatever the socket's mode.
func TestOtherUsers(t *testing.T) {
	w := begin(t, script{}, nil)
	info, err := os.Stat(w.dir.Socket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket has mode %v, %v", info.Mode(), err)
	}
	if os.Getuid() != 0 {
		t.Skip("pending: only root can be another user")
	}
	if err := errors.Join(os.Chmod(w.dir.Dir, 0o755), os.Chmod(w.dir.Socket(), 0o666)); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread's user ends with it
		got <- asNobody(w.dir.Socket())
	}()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// asNobody asks as user 65534 for what any daemon may ask.
func asNobody(socket string) error {
	const nobody = 65534
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
		return errno
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return err
	}
	wire.WriteMessage(f, request{Op: opStats}, maxMessage) // it may be refused already
	if answer, _ := io.ReadAll(f); len(answer) > 0 {
		return errors.New("it was answered: " + string(answer))
	}
	return nil
}
