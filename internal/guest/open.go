package guest

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/undo"
	"aegis/internal/version"
	"aegis/internal/wire"
)

// Link is an open control channel. Its methods may be called by several
// goroutines at once. Whoever opened it calls Close.
type Link struct {
	session *yamux.Session
	peer    wire.Hello
	ingress atomic.Bool
	once    sync.Once
	done    chan struct{}
	err     error
}

// Open waits for the guest's hello on a connected control channel, answers it
// and starts the mux. ctx bounds the hello alone, which takes as long as the
// guest's boot. On failure the channel is closed; a guest of a newer protocol is
// fault.Version, an expired ctx fault.Timeout, a channel that ends fault.BootFailed.
func Open(ctx context.Context, channel net.Conn) (*Link, error) {
	return link(channel, func() (wire.Hello, error) { return hello(ctx, channel, wire.Hello{}) })
}

// link starts the mux after an exchange of hellos. On failure the channel is closed.
func link(channel net.Conn, exchange func() (wire.Hello, error)) (*Link, error) {
	var u undo.Stack
	defer u.Run()
	u.Add(func() { channel.Close() })

	peer, err := exchange()
	if err != nil {
		return nil, err
	}
	l, err := begin(channel, peer)
	if err != nil {
		return nil, err
	}
	u.Keep()
	return l, nil
}

// begin starts the mux.
func begin(channel net.Conn, peer wire.Hello) (*Link, error) {
	session, err := yamux.Client(patient{channel}, muxConfig(), newBudget(muxMemory).span)
	if err != nil {
		return nil, fault.New(fault.Internal, "", "open guest link", "%w", err)
	}
	l := &Link{session: session, peer: peer, done: make(chan struct{})}
	go l.watch()
	return l, nil
}

// hello reads the guest's and answers it.
func hello(ctx context.Context, channel net.Conn, ours wire.Hello) (peer wire.Hello, err error) {
	err = bounded(ctx, channel, func() error {
		if err := read(channel, &peer); err != nil {
			return err
		}
		return greet(channel, ours)
	})
	return peer, err
}

// bounded runs an exchange that closes the channel when ctx ends first.
func bounded(ctx context.Context, channel net.Conn, exchange func() error) error {
	stop := context.AfterFunc(ctx, func() { channel.Close() })
	defer stop()
	err := exchange()
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil && !fault.Is(err, fault.Version) {
		return helloError(ctx, err)
	}
	return err
}

// read reads the guest's hello.
func read(channel net.Conn, peer *wire.Hello) error {
	if err := wire.ReadMessage(channel, peer, wire.MaxReply); err != nil {
		return err
	}
	return peer.Check()
}

// greet writes ours, with what it carries.
func greet(channel net.Conn, ours wire.Hello) error {
	ours.Major, ours.Minor, ours.Version = wire.Major, wire.Minor, version.Version
	return wire.WriteMessage(channel, ours, wire.MaxReply)
}

func helloError(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, "", "open guest link", "the guest said nothing in time: %w", err)
	case ctx.Err() != nil:
		return fault.New(fault.Cancelled, "", "open guest link", "it was cancelled: %w", ctx.Err())
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return fault.New(fault.BootFailed, "", "open guest link", "the guest ended before its first message: %w", err)
	}
	return fault.New(fault.BootFailed, "", "open guest link", "the guest's first message is damaged: %w", err)
}

// muxConfig outlives pauses of hours: no keep-alive, a round trip measured once,
// and no time-out on writes, since the peer may be frozen in the middle of one.
// The guest may open no stream; windows are those of go-yamux's specification.
func muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:           256, // also how many opens may wait for the guest at once
		PingBacklog:             4,
		MeasureRTTInterval:      math.MaxInt64,
		ConnectionWriteTimeout:  24 * time.Hour,
		MaxIncomingStreams:      0,
		InitialStreamWindowSize: 256 << 10,
		MaxStreamWindowSize:     1 << 20,
		LogOutput:               io.Discard,
		ReadBufSize:             64 << 10,
		MaxMessageSize:          64 << 10,
	}
}

// patient drops the write deadline that the mux sets: a paused guest reads again
// when it is resumed, whenever that is. Close ends a write that hangs.
type patient struct{ net.Conn }

func (patient) SetWriteDeadline(time.Time) error { return nil }

// watch records why the session ended.
func (l *Link) watch() {
	<-l.session.CloseChan()
	_, err := l.session.AcceptStream() // the session keeps its reason to itself, but for this
	l.end(fault.New(fault.Internal, "", "use guest link", "the link to the guest has ended: %w", err))
}

func (l *Link) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
	})
}

// Peer is the guest's hello: its protocol and version, for messages only.
func (l *Link) Peer() wire.Hello { return l.peer }

// Ingress reports, after Start, whether the guest takes streams to its ports over its
// network as well. It may be wrong about that.
func (l *Link) Ingress() bool { return l.ingress.Load() }

// Done is closed when the link has ended, whatever the cause.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err says, after Done, why the link ended; net.ErrClosed after Close.
func (l *Link) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

// Close ends the link and every operation on it, and closes the channel. It is
// idempotent. The guest ends its VM when it notices.
func (l *Link) Close() error {
	l.end(net.ErrClosed)
	return l.session.Close()
}
