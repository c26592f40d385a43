//go:build linux

package workspace

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

const (
	workers    = 32   // requests in work at once; the guest's kernel keeps up to 12 in the background
	maxWaiting = 1024 // blocked lock requests, which hold no worker; ENOLCK beyond
)

// Serve answers raw FUSE requests read from channel on the directory root until
// the channel ends between two messages (nil), ctx is done (its error), or the
// peer breaks the framing. It owns neither, and leaves nothing open. A channel
// without SetDeadline must be closed by its owner to end a reply that is stuck.
//
// It needs /proc/self/fd, sets the process's umask to 0 while it runs, and logs
// (slog) the first panics of a handler, whose requests are answered with EIO.
func Serve(ctx context.Context, root *os.File, channel io.ReadWriter, opts Options) error {
	s, err := newServer(root, opts)
	if err != nil {
		return err
	}
	defer s.close()
	defer unix.Umask(unix.Umask(0)) // the guest's kernel has already applied its own
	l := &loop{
		server:  s,
		handler: newHandler(s),
		in:      bufio.NewReaderSize(channel, 64<<10),
		out:     channel,
		ended:   make(chan error, 1),
		waiting: make(chan struct{}, maxWaiting),
	}
	for range workers {
		go l.work()
	}
	select {
	case err = <-l.ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
		if d, ok := channel.(interface{ SetDeadline(time.Time) error }); ok {
			d.SetDeadline(time.Unix(1, 0)) // wakes a blocked read or write
			defer d.SetDeadline(time.Time{})
		}
	}
	l.stop()
	return err
}

// loop is the workers' common state. Each in turn reads one request and answers
// it, so that a request is handled by the thread that read it.
type loop struct {
	server  *server
	handler *handler
	reading sync.Mutex // guards in and begun
	in      *bufio.Reader
	begun   bool       // the first request has come
	writing sync.Mutex // guards out
	out     io.Writer
	ended   chan error // the first reason to end
	waiting chan struct{}

	mu      sync.Mutex
	stopped bool // no request begins any more
	busy    sync.WaitGroup
}

func (l *loop) work() {
	for {
		m, ok := l.next()
		if !ok {
			return
		}
		if m.op() == opSetlkw {
			l.wait(m)
			continue
		}
		l.answer(m)
		l.busy.Done()
	}
}

// next reads a request and counts it as busy.
func (l *loop) next() (message, bool) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.isStopped() {
		return nil, false
	}
	m, err := l.request()
	if err != nil {
		l.end(err)
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return nil, false
	}
	l.busy.Add(1)
	return m, true
}

// request reads one, behind the owner that the guest may name before all others. The
// caller holds reading.
func (l *loop) request() (message, error) {
	m, err := readMessage(l.in)
	if err == nil && !l.begun && m.op() == wire.OpOwner {
		if o, ok := wire.ReadOwner(m.body()); ok {
			l.server.owners.main = owner{o.UID, o.GID}
		}
		putBuffer(m)
		m, err = readMessage(l.in)
	}
	l.begun = true
	return m, err
}

// wait answers a request that may block for ever.
func (l *loop) wait(m message) {
	select {
	case l.waiting <- struct{}{}:
		go func() {
			l.answer(m)
			l.busy.Done()
			<-l.waiting
		}()
	default:
		l.write(refusal(m.unique(), unix.ENOLCK))
		putBuffer(m)
		l.busy.Done()
	}
}

func (l *loop) answer(m message) {
	defer putBuffer(m)
	room, errno := m.room()
	if errno != 0 {
		if m.answered() {
			l.write(refusal(m.unique(), errno))
		}
		return
	}
	out := getBuffer(room)
	defer putBuffer(out)
	if reply := l.handler.handle(m, out); len(reply) > 0 {
		l.write(reply)
	}
}

func (l *loop) write(reply []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if _, err := l.out.Write(reply); err != nil {
		l.end(err)
	}
}

// end records why the loop ends; only the first counts.
func (l *loop) end(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		err = nil
	}
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	select {
	case l.ended <- err:
	default:
	}
}

func (l *loop) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// stop returns when no request is in work.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	close(l.server.done)
	l.busy.Wait()
}
