//go:build linux

package harness

import (
	"bufio"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// endOfInput is what a terminal's user types to end the input (termios(3), VEOF).
const endOfInput = 0x04

// running is a process and the stream of the host that follows it.
type running struct {
	*child
	reaper *reaper
	tty    bool
	in     *input
	out    frames
	ended  atomic.Bool
}

// follow serves the stream of a process until its exit was sent. A stream that
// ends earlier kills the process, and all in its group.
func (r *reaper) follow(stream io.ReadWriter, c *child, tty bool) {
	p := &running{child: c, reaper: r, tty: tty, in: newInput(), out: frames{w: stream}}
	if c.stdin == nil {
		p.in.end()
	} else {
		go p.feed()
	}
	go p.obey(stream)

	var outputs sync.WaitGroup
	outputs.Go(func() { copyOutput(c.stdout, p.sender(wire.FrameStdout)) })
	if c.stderr != nil {
		outputs.Go(func() { copyOutput(c.stderr, p.sender(wire.FrameStderr)) })
	}
	status := <-c.exit
	p.ended.Store(true)
	p.in.close()
	for _, f := range []*os.File{c.stdout, c.stderr} {
		if f != nil {
			stopOutput(f, tty)
		}
	}
	outputs.Wait()
	p.out.exit(exitOf(status, c.group.oomKills))
	time.AfterFunc(leaveAfter, p.leave)
}

// leaveAfter is when what an ended process had is dropped: once the host knows of its end.
// To remove a group and make another one takes 2 ms without KVM, on the one processor
// that also has to send what the host waits for.
const leaveAfter = 3 * time.Millisecond

// leave drops what the process had, but not what its children still use.
func (p *running) leave() {
	defer endOnPanic()
	p.group.release()
	if !p.tty {
		p.stdin.Close()
		go discard(p.stderr)
	}
	go discard(p.stdout)
}

func (p *running) sender(t wire.FrameType) func([]byte) error {
	return func(b []byte) error { return p.out.write(t, b) }
}

// feed gives the process its stdin, and its end.
func (p *running) feed() {
	defer endOnPanic()
	p.in.feed(p.stdin, p.out.credit)
	switch {
	case p.ended.Load():
	case p.tty:
		p.stdin.Write([]byte{endOfInput})
	default:
		p.stdin.Close()
	}
}

// frameReader is the memory that reading a process's stream takes.
type frameReader struct {
	*bufio.Reader
	frames *wire.FrameReader
}

var frameReaders = sync.Pool{New: func() any {
	buffered := bufio.NewReaderSize(nil, chunk)
	return &frameReader{buffered, wire.NewFrameReader(buffered)}
}}

// obey reads the host's frames until the stream ends. It never waits for the
// process, so that a signal or the end of the stream always gets through.
func (p *running) obey(stream io.Reader) {
	defer endOnPanic()
	from := frameReaders.Get().(*frameReader)
	defer frameReaders.Put(from)
	from.Reset(stream)
	for {
		t, payload, err := from.frames.Next()
		if err == nil {
			err = p.apply(t, payload)
		}
		if err != nil {
			p.cancel()
			return
		}
	}
}

func (p *running) apply(t wire.FrameType, payload []byte) error {
	switch t {
	case wire.FrameStdin:
		return p.in.put(payload)
	case wire.FrameStdinEOF:
		p.in.end()
	case wire.FrameSignal:
		if len(payload) != 1 {
			return io.ErrUnexpectedEOF
		}
		p.signal(unix.Signal(payload[0]))
	case wire.FrameResize:
		rows, cols, err := wire.ParseResize(payload)
		if err != nil || !p.tty {
			return err
		}
		resize(p.stdout, rows, cols)
	default:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// signal goes to the process group; on a terminal to the one in the foreground,
// as a key would. A process that has ended gets none.
func (p *running) signal(sig unix.Signal) {
	if p.tty && !p.ended.Load() {
		if group := foreground(p.stdout); group > 1 && unix.Kill(-group, sig) == nil {
			return
		}
	}
	p.reaper.signal(p.pid, sig)
}

// cancel ends the process and what it started, unless it has ended by itself.
func (p *running) cancel() {
	p.in.close()
	if !p.ended.Load() && !p.group.kill() {
		p.reaper.signal(p.pid, unix.SIGKILL)
	}
}

// exitOf tells how a process ended. A shell that passes on a child's SIGKILL as
// 137 counts as killed for memory too; of another end the kernel's count of kills
// in its group is not asked.
func exitOf(status unix.WaitStatus, oomKills func() int) wire.Exit {
	e := wire.Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		e = wire.Exit{Signal: int(status.Signal())}
	}
	e.OOM = e.Status() == 128+int(unix.SIGKILL) && oomKills() > 0
	return e
}
