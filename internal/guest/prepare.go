package guest

import (
	"context"
	"errors"
	"net"

	"aegis/internal/undo"
	"aegis/internal/wire"
)

// Prepare has a guest that was just booted get ready for a template, in the place of
// Open. When it returns, nothing is on its way on the channel, which stays open: the
// VM can be saved, or goes on with Reopen. ctx bounds the boot and the preparation; on
// failure the channel is closed, and the errors are those of Open or the guest's
// refusal. The stages say how long the guest took for what.
func Prepare(ctx context.Context, channel net.Conn, p wire.Prepare) (wire.Stages, error) {
	var u undo.Stack
	defer u.Run()
	u.Add(func() { channel.Close() })
	if _, err := hello(ctx, channel, wire.Hello{Prepare: &p}); err != nil {
		return nil, err
	}
	var reply wire.Reply
	if err := bounded(ctx, channel, func() error { return wire.ReadMessage(channel, &reply, wire.MaxReply) }); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, refusal("prepare the guest", reply.Error)
	}
	u.Keep()
	return stages(reply.Stages), nil
}

// Reopen opens the link to a guest that was prepared, in the VM where that happened or
// in one that was restored. Here the host speaks first. In all else it is Open.
func Reopen(ctx context.Context, channel net.Conn) (*Link, error) {
	return link(channel, func() (peer wire.Hello, err error) {
		err = bounded(ctx, channel, func() error {
			if err := greet(channel, wire.Hello{}); err != nil {
				return err
			}
			return read(channel, &peer)
		})
		return peer, err
	})
}

// Mount has the guest mount the disk that a later Start names, and do all that needs
// nothing of an instance. Then the disk stays as it is until Start, or Unmount.
func (l *Link) Mount(ctx context.Context, ahead wire.Ahead) error {
	_, err := l.simple(ctx, "mount the disk ahead", wire.Request{Op: wire.OpMount, Mount: &ahead})
	return err
}

// Unmount undoes Mount. When it returns the disk is not in use.
func (l *Link) Unmount(ctx context.Context) error {
	_, err := l.simple(ctx, "unmount the disk", wire.Request{Op: wire.OpUnmount})
	return err
}

// Rehearse has the guest do all that Start would, to the end of the command, whose
// output is lost, and undo it: afterwards its disk is not in use. ctx bounds it. A
// command that is not there is fault.CommandNotFound, and no exit status an error. It
// can be had any number of times before Start.
func (l *Link) Rehearse(ctx context.Context, start wire.Start) (wire.Stages, error) {
	const what = "rehearse a start"
	stream, reply, err := l.open(ctx, what, wire.Request{Op: wire.OpRehearse, Start: &start})
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	stop := context.AfterFunc(ctx, func() { stream.Reset() })
	defer stop()
	p := newProcess(stream, start.Main)
	if err := p.Send(wire.FrameStdinEOF, nil); err != nil {
		return nil, err
	}
	for !p.exited {
		t, payload, err := p.frames.Next()
		if err == nil {
			err = p.check(t, payload)
		}
		if err != nil {
			return nil, l.lost(ctx, what, err)
		}
	}
	var last wire.Reply
	if err := wire.ReadMessage(p.rest, &last, wire.MaxReply); err != nil {
		return nil, l.lost(ctx, what, err)
	}
	if last.Error != nil {
		return nil, refusal(what, last.Error)
	}
	if !stop() {
		return nil, l.lost(ctx, what, errors.New("it took too long"))
	}
	return stages(reply.Stages), nil
}
