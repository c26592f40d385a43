package guest

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/undo"
	"aegis/internal/wire"
)

// open starts an operation and reads its reply. On success the stream is the
// caller's; ctx bounds only this exchange, and its end cancels the operation.
func (l *Link) open(ctx context.Context, what string, req wire.Request) (*yamux.Stream, wire.Reply, error) {
	var u undo.Stack
	defer u.Run()
	var reply wire.Reply
	if l.session.NumStreams() >= maxStreams {
		return nil, reply, l.lost(ctx, what, errBudget)
	}
	stream, err := l.session.OpenStream(ctx)
	if err != nil {
		return nil, reply, l.lost(ctx, what, err)
	}
	u.Add(func() { stream.Reset() })
	stop := context.AfterFunc(ctx, func() { stream.Reset() })
	defer stop()

	if err := wire.WriteMessage(stream, req, wire.MaxRequest); err != nil {
		if fault.Is(err, fault.Invalid) {
			return nil, reply, err
		}
		return nil, reply, l.lost(ctx, what, err)
	}
	if err := wire.ReadMessage(stream, &reply, wire.MaxReply); err != nil {
		return nil, reply, l.lost(ctx, what, err)
	}
	if reply.Error != nil {
		return nil, reply, refusal(what, reply.Error)
	}
	if !stop() {
		return nil, reply, l.lost(ctx, what, ctx.Err())
	}
	u.Keep()
	return stream, reply, nil
}

// lost says why an operation got no reply.
func (l *Link) lost(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, "", what, "the guest did not answer in time: %w", err)
	case ctx.Err() != nil:
		return fault.New(fault.Cancelled, "", what, "it was cancelled: %w", ctx.Err())
	case errors.Is(err, errBudget):
		return fault.New(fault.Internal, "", what, "%w", err)
	}
	return fault.New(fault.Internal, "", what, "the link to the guest failed: %w", err)
}

// simple runs an operation that has nothing behind its reply.
func (l *Link) simple(ctx context.Context, what string, req wire.Request) (wire.Reply, error) {
	stream, reply, err := l.open(ctx, what, req)
	if err != nil {
		return reply, err
	}
	stream.Close()
	return reply, nil
}

// Start makes the VM the instance and runs its command; once in a VM's life.
// When it returns without error the command runs. A command that is not there is
// fault.CommandNotFound, one that can't be executed fault.CommandNotRunnable. The
// stages say how long the guest took for what.
func (l *Link) Start(ctx context.Context, start wire.Start) (*Process, wire.Stages, error) {
	stream, reply, err := l.open(ctx, "start the command", wire.Request{Op: wire.OpStart, Start: &start})
	if err != nil {
		return nil, nil, err
	}
	l.ingress.Store(reply.Ingress)
	return newProcess(stream, start.Main), stages(reply.Stages), nil
}

// Exec runs one more process, with errors as Start's.
func (l *Link) Exec(ctx context.Context, p wire.Process) (*Process, error) {
	stream, _, err := l.open(ctx, "run the process", wire.Request{Op: wire.OpExec, Exec: &p})
	if err != nil {
		return nil, err
	}
	return newProcess(stream, p), nil
}

// Dial connects to a TCP port of the guest's loopback. While nothing listens
// there the guest tries again for wait; then the error is fault.Timeout. The
// connection has CloseWrite.
func (l *Link) Dial(ctx context.Context, port uint16, wait time.Duration) (Conn, error) {
	req := wire.Request{Op: wire.OpDial, Dial: &wire.Dial{Port: port, Wait: wait}}
	stream, _, err := l.open(ctx, "reach the instance's port", req)
	if err != nil {
		return nil, err
	}
	return &conn{Stream: stream}, nil
}

// Stats reads the guest's own counters, which it may have made up.
func (l *Link) Stats(ctx context.Context) (wire.Stats, error) {
	reply, err := l.simple(ctx, "read the guest's counters", wire.Request{Op: wire.OpStats})
	if err != nil || reply.Stats == nil {
		return wire.Stats{}, err
	}
	return counters(*reply.Stats), nil
}

// Sync writes everything to the disks.
func (l *Link) Sync(ctx context.Context) error {
	_, err := l.simple(ctx, "sync the guest's disks", wire.Request{Op: wire.OpSync})
	return err
}

// SetClock sets the guest's wall clock, after a pause.
func (l *Link) SetClock(ctx context.Context, now time.Time) error {
	_, err := l.simple(ctx, "set the guest's clock", wire.Request{Op: wire.OpClock, Clock: &wire.Clock{UnixNano: now.UnixNano()}})
	return err
}

// Shutdown ends every process (SIGTERM, after the grace SIGKILL), syncs and unmounts.
// Then everything that processes have written is here; it is lost with the link
// unless read calls for it, which the guest waits for, some seconds at most. When
// Shutdown returns the VM ends by itself, or may be ended: nothing is left to be written.
func (l *Link) Shutdown(ctx context.Context, how wire.Shutdown, read func()) error {
	req := wire.Request{Op: wire.OpShutdown, Shutdown: &how}
	stream, _, err := l.open(ctx, "shut the guest down", req)
	if err != nil {
		return err
	}
	defer stream.Close()
	read()
	return nil
}
