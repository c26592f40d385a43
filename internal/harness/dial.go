//go:build linux

package harness

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// loopbacks are the addresses where an application is looked for, in order.
var loopbacks = []string{"127.0.0.1", "::1"}

// maxPause is the longest pause between two looks at a port. Under emulation a
// look every 3 ms made a server three times slower to start, every 15 ms did not.
const maxPause = 25 * time.Millisecond

// maxDialWait bounds what a dial may wait.
const maxDialWait = 5 * time.Minute

// dialer reaches ports of the guest. However many dials wait for a port, one of
// them looks at it.
type dialer struct {
	mu      sync.Mutex
	looking map[uint16]chan struct{} // closed when the one that looks has stopped
}

func newDialer() *dialer { return &dialer{looking: map[uint16]chan struct{}{}} }

// connect makes one attempt at each address.
func connect(ctx context.Context, port uint16) (net.Conn, error) {
	var d net.Dialer
	var errs []error
	for _, ip := range loopbacks {
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(int(port))))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dial connects, and waits for a port where nothing listens yet until ctx ends.
func (d *dialer) dial(ctx context.Context, port uint16) (net.Conn, error) {
	for {
		c, err := connect(ctx, port)
		if err == nil || !errors.Is(err, unix.ECONNREFUSED) || ctx.Err() != nil {
			return c, err
		}
		d.mu.Lock()
		other, busy := d.looking[port]
		if !busy {
			d.looking[port] = make(chan struct{})
		}
		d.mu.Unlock()
		if !busy {
			return d.look(ctx, port)
		}
		select {
		case <-other: // it listens, or that dial gave up: see for ourselves
		case <-ctx.Done():
			return nil, err
		}
	}
}

// look tries until somebody listens, and tells the others when it stops.
func (d *dialer) look(ctx context.Context, port uint16) (net.Conn, error) {
	defer func() {
		d.mu.Lock()
		close(d.looking[port])
		delete(d.looking, port)
		d.mu.Unlock()
	}()
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
			return nil, unix.ECONNREFUSED
		case <-time.After(pause):
		}
		if c, err := connect(ctx, port); err == nil || !errors.Is(err, unix.ECONNREFUSED) {
			return c, err
		}
	}
}

// relay connects a stream of the host's to a port.
func (d *dialer) relay(stream *yamux.Stream, req wire.Dial) error {
	ctx, cancel := context.WithTimeout(context.Background(), min(req.Wait, maxDialWait))
	defer cancel()
	var app net.Conn
	var err error
	if req.Wait <= 0 {
		app, err = connect(context.Background(), req.Port)
	} else {
		settle := cancelOnEnd(stream, cancel)
		app, err = d.dial(ctx, req.Port)
		settle()
	}
	if err != nil {
		return fault.New(fault.Timeout, "", "", "nothing answers at port %d of the instance: %w", req.Port, err)
	}
	defer app.Close()
	if err := wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply); err != nil {
		return nil
	}
	join(stream, app.(*net.TCPConn))
	return nil
}

// cancelOnEnd watches a stream on which the host sends nothing yet, and cancels
// when it ends, so that nobody looks at a port for a client that has gone.
// settle ends the watch, and must be called before the stream is read.
func cancelOnEnd(stream *yamux.Stream, cancel context.CancelFunc) (settle func()) {
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		var early [1]byte
		if _, err := stream.Read(early[:]); err != nil {
			cancel()
		}
	}()
	return func() {
		stream.SetReadDeadline(time.Unix(1, 0))
		<-watched
		stream.SetReadDeadline(time.Time{})
	}
}

// join copies both ways until both directions have ended, each on its own. A
// reset on one side is one on the other.
func join(stream *yamux.Stream, app *net.TCPConn) {
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := io.Copy(struct{ io.Writer }{app}, stream); err != nil {
			app.SetLinger(0)
			app.Close()
			return
		}
		app.CloseWrite()
	})
	both.Go(func() {
		lent := chunks.Get().(*[chunk]byte)
		defer chunks.Put(lent)
		if _, err := io.CopyBuffer(struct{ io.Writer }{stream}, struct{ io.Reader }{app}, lent[:]); err != nil {
			stream.Reset()
			return
		}
		stream.CloseWrite()
	})
	both.Wait()
}
