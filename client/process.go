package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Upgrade is the protocol of a connection to a process or of a copy, named in the
// Upgrade header: package wire's frames, both ways.
const Upgrade = "aegis-process"

// WakeHeader holds, in the answer to a run, a Wake as JSON.
const WakeHeader = "Aegis-Wake"

// ExitStatus is how a process ended. Either Signal is set, or Code counts.
type ExitStatus struct {
	Code   int
	Signal int  // Linux number
	OOM    bool // the guest's kernel killed it for memory
}

// Status is the exit status as a shell gives it: Code, or 128 + Signal.
func (e ExitStatus) Status() int { return wire.Exit(e).Status() }

// Size is a terminal's, in characters.
type Size struct {
	Rows, Cols uint16
}

// IO is what a process is attached to.
//
// A nil Stdin is an empty one; a nil writer discards. A read of Stdin may go on
// after the process has ended: its bytes are lost, and the goroutine ends with it.
type IO struct {
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Signals <-chan int  // Linux numbers, sent to the process group
	Resizes <-chan Size // ignored without a TTY
	Started func(Wake)  // called once the process runs, before its output; of Run with how the start went; may be nil
}

// Exec runs one more process in a RUNNING instance, or in a PAUSED one, which it
// resumes, and returns when the process has ended. The end of ctx ends the process.
func (c *Client) Exec(ctx context.Context, ref string, exec Exec, files IO) (ExitStatus, error) {
	exec.NoStdin = exec.NoStdin || files.Stdin == nil && !exec.TTY
	return c.attach(ctx, fmt.Sprintf("run a command in %q", ref), at(instances, ref, "exec"), exec, files)
}

// Run starts a STOPPED instance attached to its main process, and returns when
// that has ended.
func (c *Client) Run(ctx context.Context, ref string, files IO) (ExitStatus, error) {
	return c.attach(ctx, fmt.Sprintf("run instance %q", ref), at(instances, ref, "run"), nil, files)
}

func (c *Client) attach(ctx context.Context, what, path string, in any, files IO) (ExitStatus, error) {
	conn, header, err := c.upgrade(ctx, what, path, in)
	if err != nil {
		return ExitStatus{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if files.Started != nil {
		var wake Wake
		json.Unmarshal([]byte(header.Get(WakeHeader)), &wake) // an exec has none
		files.Started(wake)
	}
	return converse(ctx, what, conn, files)
}

// converse sends and receives until the exit frame.
func converse(ctx context.Context, what string, conn io.ReadWriter, files IO) (ExitStatus, error) {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &sender{conn: conn, credit: newCredit(wire.InitialCredit)}
	go out.stdin(sending, files.Stdin)
	go out.control(sending, files)
	exit, err := receive(conn, out.credit, files)
	if err == nil {
		return ExitStatus(exit), nil
	}
	if e := ended(ctx, what, err); e != nil {
		return ExitStatus{}, e
	}
	var local *outputError
	if errors.As(err, &local) {
		return ExitStatus{}, fmt.Errorf("%s: %w", what, err)
	}
	return ExitStatus{}, problem(fault.Unreachable, "", what,
		"the daemon or the VM went away before the process had ended", err)
}

// outputError is a failure to write what the process printed.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// receive writes output and grants credit until the exit frame. A frame that it
// doesn't know ends the conversation.
func receive(conn io.Reader, c *credit, files IO) (wire.Exit, error) {
	frames := wire.NewFrameReader(conn)
	for {
		t, payload, err := frames.Next()
		if err != nil {
			return wire.Exit{}, err
		}
		switch t {
		case wire.FrameStdout:
			err = emit(files.Stdout, payload)
		case wire.FrameStderr:
			err = emit(files.Stderr, payload)
		case wire.FrameCredit:
			err = c.parse(payload)
		case wire.FrameExit:
			return wire.ParseExit(payload)
		default:
			err = fmt.Errorf("read frame: type %d is unknown", t)
		}
		if err != nil {
			return wire.Exit{}, err
		}
	}
}

func emit(w io.Writer, payload []byte) error {
	if w == nil {
		return nil
	}
	if _, err := w.Write(payload); err != nil {
		return &outputError{err}
	}
	return nil
}

// sender writes the frames to the process, whole, from two goroutines. Its
// errors are not reported: the connection is gone then, and receive says so.
type sender struct {
	mu     sync.Mutex
	conn   io.Writer
	credit *credit
}

func (s *sender) write(t wire.FrameType, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wire.WriteFrame(s.conn, t, payload)
}

// stdin copies r within the credit, then says that it has ended.
func (s *sender) stdin(ctx context.Context, r io.Reader) {
	buf := make([]byte, 32<<10)
	for r != nil {
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			take := s.credit.take(ctx, len(rest))
			if take == 0 || s.write(wire.FrameStdin, rest[:take]) != nil {
				return
			}
			rest = rest[take:]
		}
		if err != nil {
			break
		}
	}
	s.write(wire.FrameStdinEOF, nil)
}

// control forwards signals and sizes.
func (s *sender) control(ctx context.Context, files IO) {
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case n, ok := <-files.Signals:
			if !ok {
				files.Signals = nil
				continue
			}
			err = s.write(wire.FrameSignal, []byte{byte(n)})
		case size, ok := <-files.Resizes:
			if !ok {
				files.Resizes = nil
				continue
			}
			s.mu.Lock()
			err = wire.WriteResize(s.conn, size.Rows, size.Cols)
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}
