//go:build linux

package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/wire"
)

// patience is when a test gives up; nothing waits for it.
const patience = 30 * time.Second

// here is this machine in the place of a VM: nothing is mounted or set.
type here struct {
	stopped chan wire.Shutdown
	ended   chan string
}

func (here) prepare(wire.Prepare) error { return nil }
func (here) undo() error                { return nil }
func (here) unmount() error             { return nil }
func (here) reachable() bool            { return false }
func (here) mount(_ wire.Ahead, programs func(*cgroups)) error {
	programs(nil)
	return nil
}
func (here) become(_ wire.Start, _ bool, mark func(string)) (*cgroups, error) {
	mark("identity")
	return nil, nil
}
func (here) setClock(wire.Clock) error      { return nil }
func (here) stats() (wire.Stats, error)     { return readStats("/proc", "/", "/nowhere") }
func (h here) stop(how wire.Shutdown) error { h.stopped <- how; return nil }
func (h here) off(why string)               { h.ended <- why }

// reaping is the one reaper of this test binary: it takes every child's exit.
var reaping = newReaper()

func TestMain(m *testing.M) {
	go reaping.run()
	os.Exit(m.Run())
}

// socketPair is a connected pair of unix sockets.
func socketPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return ends[0], ends[1]
}

// linked is both halves of a link in this process.
func linked(t *testing.T) (*guest.Link, here) {
	t.Helper()
	return linkedAt(t, "")
}

// linkedAt is linked, with a socket for the guest's processes.
func linkedAt(t *testing.T, socket string) (*guest.Link, here) {
	t.Helper()
	hostEnd, guestEnd := socketPair(t)
	machine := here{make(chan wire.Shutdown, 1), make(chan string, 1)}
	s := newServer(reaping, machine)
	s.self = newSelf(socket)
	served := make(chan string, 1)
	go func() { served <- s.serve(guestEnd) }()
	link, err := guest.Open(t.Context(), hostEnd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close(); <-served })
	return link, machine
}

// started is a link whose command has ended.
func started(t *testing.T) *guest.Link {
	t.Helper()
	link, _ := linked(t)
	p, _, err := link.Start(t.Context(), wire.Start{Hostname: "box", BaseEnv: map[string]string{"BASE": "b", "BOTH": "b"}, Main: wire.Process{Args: []string{"true"}, Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, e := collect(t, p, nil); e.Status() != 0 {
		t.Fatalf("true ended with %+v", e)
	}
	return link
}

// collect follows a process to its end; each sees the frames that come.
func collect(t *testing.T, p *guest.Process, each func(wire.FrameType, []byte)) (stdout, stderr []byte, e wire.Exit) {
	t.Helper()
	timer := time.AfterFunc(patience, p.Cancel)
	defer timer.Stop()
	for {
		kind, payload, err := p.Next()
		if err != nil {
			t.Fatalf("after %.200q, %.200q: %v", stdout, stderr, err)
		}
		if each != nil {
			each(kind, payload)
		}
		switch kind {
		case wire.FrameStdout:
			stdout = append(stdout, payload...)
		case wire.FrameStderr:
			stderr = append(stderr, payload...)
		case wire.FrameExit:
			if e, err = wire.ParseExit(payload); err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.Next(); err != io.EOF {
				t.Errorf("after the exit: %v", err)
			}
			return stdout, stderr, e
		}
	}
}

// TestStdin sends far more than the credit through cat, and gets it back.
func TestStdin(t *testing.T) {
	link := started(t)
	p, err := link.Exec(t.Context(), wire.Process{ID: "cat", Args: []string{"cat"}})
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	credit := make(chan int, 1<<12)
	credit <- wire.InitialCredit
	go func() {
		for rest, have := want, 0; len(rest) > 0; {
			have += <-credit
			n := min(len(rest), have, wire.MaxFrame)
			if err := p.Send(wire.FrameStdin, rest[:n]); err != nil {
				t.Errorf("send: %v", err)
				return
			}
			rest, have = rest[n:], have-n
			if have > 0 {
				credit <- 0
			}
		}
		p.Send(wire.FrameStdinEOF, nil)
	}()
	out, _, e := collect(t, p, func(kind wire.FrameType, payload []byte) {
		if kind == wire.FrameCredit {
			n, _ := wire.ParseCredit(payload)
			credit <- n
		}
	})
	if !bytes.Equal(out, want) || e.Status() != 0 {
		t.Errorf("cat gave %d bytes of %d back and %+v", len(out), len(want), e)
	}
}

// TestCancel ends a process that reads nothing and writes without end.
func TestCancel(t *testing.T) {
	link := started(t)
	mark := filepath.Join(t.TempDir(), "pid")
	p, err := link.Exec(t.Context(), wire.Process{ID: "yes", Args: []string{"sh", "-c", "echo $$ > " + mark + "; exec yes"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Next(); err != nil {
		t.Fatal(err)
	}
	pid, _ := os.ReadFile(mark)
	p.Cancel()
	gone := func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
		return errors.Is(err, os.ErrNotExist)
	}
	await(t, "the cancelled process to end", gone)
}

// await polls what has no event.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func TestSignal(t *testing.T) {
	link := started(t)
	for _, tty := range []bool{false, true} {
		p, err := link.Exec(t.Context(), wire.Process{ID: "trap", TTY: tty, Args: []string{"sh", "-c", "trap 'echo got; exit 7' INT; echo ready; while :; do sleep 0.01; done"}})
		if err != nil {
			t.Fatal(err)
		}
		sent := false
		out, _, e := collect(t, p, func(kind wire.FrameType, payload []byte) {
			if kind == wire.FrameStdout && !sent {
				sent = true
				p.Send(wire.FrameSignal, []byte{byte(unix.SIGINT)})
			}
		})
		if e.Status() != 7 || !bytes.Contains(out, []byte("got")) {
			t.Errorf("tty %v: %q, %+v", tty, out, e)
		}
	}
}

// TestTerminal checks size, control characters, resizing and the end of input.
func TestTerminal(t *testing.T) {
	link := started(t)
	script := `stty size; test -t 0 && test -t 1 && test -t 2 && echo all; echo $TERM; read x; stty size; cat; echo bye`
	p, err := link.Exec(t.Context(), wire.Process{ID: "tty", TTY: true, Rows: 11, Cols: 22, Args: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	p.Send(wire.FrameResize, []byte{0, 33, 0, 44})
	p.Send(wire.FrameStdin, []byte("line\n"))
	p.Send(wire.FrameStdinEOF, nil)
	out, _, e := collect(t, p, nil)
	for _, want := range []string{"all\r\nxterm", "33 44\r\n", "bye\r\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	if e.Status() != 0 {
		t.Errorf("ended with %+v", e)
	}
}

// TestTerminalWithoutStdin holds that a terminal's input ends by what is typed, whatever is
// said of the process.
func TestTerminalWithoutStdin(t *testing.T) {
	link := started(t)
	p, err := link.Exec(t.Context(), wire.Process{ID: "tty", TTY: true, NoStdin: true, Args: []string{"sh", "-c", "cat; echo bye"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Send(wire.FrameStdinEOF, nil)
	if out, _, e := collect(t, p, nil); string(out) != "bye\r\n" || e.Status() != 0 {
		t.Errorf("%q, %+v", out, e)
	}
}

// TestSlowReader shows that a reader that stops holds back its own process only.
func TestSlowReader(t *testing.T) {
	link := started(t)
	slow, err := link.Exec(t.Context(), wire.Process{ID: "slow", Args: []string{"sh", "-c", "yes | head -c 8000000"}})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := link.Exec(t.Context(), wire.Process{ID: "quick", Args: []string{"sh", "-c", "yes | head -c 8000000"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*guest.Process{quick, slow} {
		if out, _, e := collect(t, p, nil); len(out) != 8000000 || e.Status() != 0 {
			t.Errorf("%d bytes, %+v", len(out), e)
		}
	}
}

func TestOrder(t *testing.T) {
	link, machine := linked(t)
	if _, err := link.Exec(t.Context(), wire.Process{ID: "x", Args: []string{"true"}}); !fault.Is(err, fault.WrongState) {
		t.Errorf("exec before start: %v", err)
	}
	start := wire.Start{Hostname: "box", Main: wire.Process{Args: []string{"cat"}, Dir: filepath.Join(t.TempDir(), "made", "deep")}}
	main, stages, err := link.Start(t.Context(), start)
	if err != nil || stages["command"] == 0 {
		t.Fatalf("start: %v, %v", stages, err)
	}
	if _, _, err := link.Start(t.Context(), start); !fault.Is(err, fault.WrongState) {
		t.Errorf("second start: %v", err)
	}
	if _, err := link.Stats(t.Context()); err != nil {
		t.Errorf("stats: %v", err)
	}
	if err := link.Sync(t.Context()); err != nil {
		t.Errorf("sync: %v", err)
	}
	if err := link.SetClock(t.Context(), time.Now()); err != nil {
		t.Errorf("clock: %v", err)
	}
	main.Send(wire.FrameStdinEOF, nil)
	collect(t, main, nil)
	if err := link.Shutdown(t.Context(), wire.Shutdown{Grace: 3 * time.Second, Discard: true}, func() {}); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if how := <-machine.stopped; how != (wire.Shutdown{Grace: 3 * time.Second, Discard: true}) {
		t.Errorf("stopped so: %+v", how)
	}
	<-machine.ended
	if _, err := link.Exec(t.Context(), wire.Process{ID: "x", Args: []string{"true"}}); !fault.Is(err, fault.WrongState) {
		t.Errorf("exec after shutdown: %v", err)
	}
}

// What a process writes as it is stopped reaches the host before the VM ends.
func TestShutdownKeepsTheLastOutput(t *testing.T) {
	link, machine := linked(t)
	main, _, err := link.Start(t.Context(), wire.Start{Main: wire.Process{Args: []string{"sh", "-c", "cat >/dev/null; yes | head -c 8000000"}}})
	if err != nil {
		t.Fatal(err)
	}
	main.Send(wire.FrameStdinEOF, nil)
	first := make(chan int)
	go func() { // the host's reader begins when the guest has begun to stop
		<-machine.stopped
		out, _, e := collect(t, main, nil)
		if e.Status() != 0 {
			t.Errorf("%+v", e)
		}
		first <- len(out)
	}()
	err = link.Shutdown(t.Context(), wire.Shutdown{Grace: time.Second}, func() {
		if n := <-first; n != 8000000 {
			t.Errorf("%d bytes of the last output came", n)
		}
		select {
		case <-machine.ended:
			t.Error("the VM has ended while its output was read")
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	<-machine.ended
}
