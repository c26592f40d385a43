package engine

import (
	"context"
	"net"

	"aegis/client"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// CopyIn begins to put files into a RUNNING or PAUSED instance. The stream carries
// package wire's frames; closing it ends the copy.
func (e *Engine) CopyIn(ctx context.Context, ref string, in client.CopyIn) (net.Conn, error) {
	return e.copy(ctx, ref, "copy files into", func(life Life) (Stream, error) {
		return life.CopyIn(ctx, wire.CopyIn{Path: []byte(in.Path), Top: []byte(in.Top), Dir: in.Directory, Keep: in.KeepOwners})
	})
}

// CopyOut begins to get files out of a RUNNING or PAUSED instance, as CopyIn.
func (e *Engine) CopyOut(ctx context.Context, ref string, out client.CopyOut) (net.Conn, error) {
	return e.copy(ctx, ref, "copy files out of", func(life Life) (Stream, error) {
		return life.CopyOut(ctx, wire.CopyOut{Path: []byte(out.Path), Follow: out.FollowLink})
	})
}

// copy keeps the instance awake for as long as the copy takes.
func (e *Engine) copy(ctx context.Context, ref, what string, begin func(Life) (Stream, error)) (net.Conn, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	life, release, _, err := a.awaken(ctx, instance.Exec, what, holdCopy)
	if err != nil {
		return nil, err
	}
	stream, err := begin(life)
	if err != nil {
		release()
		return nil, a.refuse(what, err)
	}
	return &kept{Stream: stream, release: release}, nil
}
