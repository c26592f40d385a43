package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/wire"
)

type processes Fake

func (p *processes) Run(_ context.Context, ref string) (net.Conn, client.Wake, error) {
	f := (*Fake)(p)
	if err := f.enter("Run", ref); err != nil {
		return nil, client.Wake{}, err
	}
	defer f.mu.Unlock()
	i, err := f.find(ref)
	if err != nil {
		return nil, client.Wake{}, err
	}
	return f.play(i.Command), f.Wake, nil
}

func (p *processes) Exec(_ context.Context, ref string, exec client.Exec) (net.Conn, error) {
	f := (*Fake)(p)
	call := fmt.Sprintf("%s %s tty=%v %dx%d user=%s dir=%s", ref, strings.Join(exec.Command, " "), exec.TTY, exec.Rows, exec.Cols, exec.User, exec.Workdir)
	if term, ok := exec.Env["TERM"]; ok {
		call += " TERM=" + term
	}
	if exec.NoStdin {
		call += " no-stdin"
	}
	if err := f.enter("Exec", call); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	i, err := f.find(ref)
	if err != nil {
		return nil, err
	}
	if i.State == "STOPPED" {
		return nil, fault.New(fault.WrongState, ref, fmt.Sprintf("run a command in %q", ref), "it is STOPPED")
	}
	return f.play(exec.Command), nil
}

// play starts the process on the far end of a unix socket pair, as a shim's
// connection would be.
func (f *Fake) play(command []string) net.Conn {
	near, far := pair()
	process := f.Process
	if process == nil {
		process = Shell
	}
	go func() {
		defer far.Close()
		process(far, command)
	}()
	return near
}

// pair is two connected unix sockets.
func pair() (near, far net.Conn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	return conn(fds[0]), conn(fds[1])
}

func conn(fd int) net.Conn {
	file := os.NewFile(uintptr(fd), "pair")
	defer file.Close() // FileConn has its own copy
	c, err := net.FileConn(file)
	if err != nil {
		panic(err)
	}
	return c
}

// Shell is a process that knows a few commands: "echo WORDS", "err WORDS" (to
// stderr), "cat", "exit N", "kill N", "sleep" (until a signal), "stubborn" (which
// signals don't end), "vanish" (no exit frame).
func Shell(conn net.Conn, command []string) {
	name, args := "cat", []string{}
	if len(command) > 0 {
		name, args = command[0], command[1:]
	}
	var exit wire.Exit
	switch name {
	case "echo":
		wire.WriteFrame(conn, wire.FrameStdout, []byte(strings.Join(args, " ")+"\n"))
	case "err":
		wire.WriteFrame(conn, wire.FrameStderr, []byte(strings.Join(args, " ")+"\n"))
	case "exit":
		fmt.Sscan(args[0], &exit.Code)
	case "kill":
		fmt.Sscan(args[0], &exit.Signal)
	case "vanish":
		return
	case "stubborn":
		wire.WriteFrame(conn, wire.FrameStdout, []byte("stubborn\n"))
		for n := serve(conn, false); n != gone; n = serve(conn, false) {
			wire.WriteFrame(conn, wire.FrameStdout, fmt.Appendf(nil, "ignored %d\n", n))
		}
	case "sleep":
		wire.WriteFrame(conn, wire.FrameStdout, []byte("sleeping\n"))
		exit.Signal = serve(conn, false)
	default:
		exit.Signal = serve(conn, true)
	}
	wire.WriteExit(conn, exit)
}

// gone is what serve returns when the client has gone.
const gone = -1

// serve echoes stdin, grants credit, and returns at the end of stdin, if echo, or
// with the number of a signal.
func serve(conn net.Conn, echo bool) (signal int) {
	frames := wire.NewFrameReader(conn)
	for {
		t, payload, err := frames.Next()
		if err != nil {
			return gone
		}
		switch {
		case t == wire.FrameSignal:
			return int(payload[0])
		case t == wire.FrameStdin && echo:
			wire.WriteFrame(conn, wire.FrameStdout, slices.Clone(payload))
			wire.WriteCredit(conn, len(payload))
		case t == wire.FrameStdinEOF && echo:
			return 0
		case t == wire.FrameResize && echo:
			rows, cols, _ := wire.ParseResize(payload)
			wire.WriteFrame(conn, wire.FrameStdout, fmt.Appendf(nil, "size %dx%d\n", rows, cols))
		}
	}
}

func (p *processes) Logs(_ context.Context, ref string, q client.LogQuery) (io.ReadCloser, error) {
	f := (*Fake)(p)
	since := ""
	if !q.Since.IsZero() {
		since = q.Since.UTC().Format("2006-01-02T15:04:05Z")
	}
	if err := f.enter("Logs", fmt.Sprintf("%s follow=%v tail=%d since=%s streams=%s exec=%s", ref, q.Follow, q.Tail, since, strings.Join(q.Streams, ","), q.Exec)); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if _, err := f.find(ref); err != nil {
		return nil, err
	}
	if f.Log != nil {
		return f.Log(q), nil
	}
	return io.NopCloser(bytes.NewReader(nil)), nil
}

// Text is a log that always holds the same.
func Text(text string) func(client.LogQuery) io.ReadCloser {
	return func(client.LogQuery) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }
}
