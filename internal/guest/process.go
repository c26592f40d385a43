package guest

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Process is a process of the guest, seen through its stream of frames. One
// goroutine calls Next; Send and Cancel may be called by any. Next must be called
// until it fails or gives io.EOF, or Cancel must.
type Process struct {
	stream *yamux.Stream
	rest   *bufio.Reader // of stream, behind what frames has read
	frames *wire.FrameReader
	tty    bool
	exited bool // Next's alone

	sending sync.Mutex // keeps frames whole and in order; taken before mu
	mu      sync.Mutex // never held across I/O, so that Next can't be held back by Send
	credit  int        // bytes of stdin that may be sent
	eof     bool       // stdin was closed
}

func newProcess(stream *yamux.Stream, p wire.Process) *Process {
	rest := bufio.NewReaderSize(stream, 32<<10)
	return &Process{
		stream: stream,
		rest:   rest,
		frames: wire.NewFrameReader(rest),
		tty:    p.TTY,
		credit: wire.InitialCredit,
		eof:    p.NoStdin && !p.TTY,
	}
}

// Next gives the next frame from the process: stdout, stderr, credit or exit. The
// payload is valid until the following call. After the exit frame it gives io.EOF
// and reads nothing more. Anything that breaks the protocol cancels the process.
func (p *Process) Next() (wire.FrameType, []byte, error) {
	if p.exited {
		return 0, nil, io.EOF
	}
	t, payload, err := p.frames.Next()
	if err == nil {
		err = p.check(t, payload)
	}
	if err != nil {
		p.Cancel()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fault.New(fault.Internal, "", "follow the process", "its stream ended before it did: %w", err)
	}
	if p.exited {
		p.stream.Reset()
	}
	return t, payload, nil
}

// check refuses frames that no process may send, and counts credit.
func (p *Process) check(t wire.FrameType, payload []byte) error {
	switch t {
	case wire.FrameStdout, wire.FrameStderr:
		if len(payload) == 0 || t == wire.FrameStderr && p.tty {
			return errors.New("an output frame that must not be")
		}
		return nil
	case wire.FrameCredit:
		n, err := wire.ParseCredit(payload)
		if err != nil {
			return err
		}
		return p.grant(n)
	case wire.FrameExit:
		_, err := wire.ParseExit(payload)
		p.exited = err == nil
		return err
	}
	return errors.New("a frame of an unknown type")
}

// grant adds credit. No guest gives more than was used.
func (p *Process) grant(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 || p.credit+n > wire.InitialCredit {
		return errors.New("more credit than was used")
	}
	p.credit += n
	return nil
}

// Send passes one frame to the process: stdin, its end, a signal or a new size.
// stdin beyond its credit, or after its end, is an error, and nothing is sent. To end it
// once more is nothing.
func (p *Process) Send(t wire.FrameType, payload []byte) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	if t == wire.FrameStdinEOF && p.ended() {
		return nil
	}
	if err := p.spend(t, payload); err != nil {
		return err
	}
	if err := wire.WriteFrame(p.stream, t, payload); err != nil {
		return fault.New(fault.Internal, "", "send to the process", "its stream has ended: %w", err)
	}
	return nil
}

// ended is whether stdin has ended.
func (p *Process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.eof
}

// spend checks a frame to the process and takes its credit.
func (p *Process) spend(t wire.FrameType, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := map[wire.FrameType]int{wire.FrameStdinEOF: 0, wire.FrameSignal: 1, wire.FrameResize: 4}
	want, fixed := size[t]
	switch {
	case t == wire.FrameStdin && (p.eof || len(payload) > min(p.credit, wire.MaxFrame)):
		return fault.New(fault.Invalid, "", "send to the process", "%d bytes of stdin are more than it can take", len(payload))
	case t == wire.FrameStdin:
		p.credit -= len(payload)
	case !fixed || len(payload) != want:
		return fault.New(fault.Invalid, "", "send to the process", "a frame of type %d with %d bytes does not exist", t, len(payload))
	case t == wire.FrameStdinEOF:
		p.eof = true
	}
	return nil
}

// Cancel ends the process, if it still runs, and the stream.
func (p *Process) Cancel() { p.stream.Reset() }
