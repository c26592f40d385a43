package shim

import (
	"context"
	"net"
	"time"

	"aegis/internal/guest"
	"aegis/internal/wire"
)

// copyTimeout is how long a guest may take to find where a copy goes.
const copyTimeout = 30 * time.Second

// serveCopy copies for as long as its client stays.
func (r *run) serveCopy(ctx context.Context, conn *net.UnixConn, req request) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	var c *guest.Copy
	var err error
	if req.CopyIn != nil {
		c, err = r.link.CopyIn(ctx, *req.CopyIn)
	} else {
		c, err = r.link.CopyOut(ctx, *req.CopyOut)
	}
	if err != nil {
		return err
	}
	defer c.Cancel()
	if err := answer(conn, reply{}); err != nil {
		return nil
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		copyToGuest(conn, c)
	}()
	copyFromGuest(c, conn)
	c.Cancel() // ends a Send that the guest does not take
	conn.CloseWrite()
	conn.SetReadDeadline(time.Now().Add(time.Second)) // the client closes once it has the last frame
	<-gone
	return nil
}

// copyToGuest passes the client's frames on. A client that goes away ends the copy;
// for one that the guest ended, the rest is read and lost.
func copyToGuest(client net.Conn, c *guest.Copy) {
	frames := wire.NewFrameReader(client)
	for refused := false; ; {
		kind, payload, err := frames.Next()
		if err != nil {
			c.Cancel()
			return
		}
		refused = refused || c.Send(kind, payload) != nil
	}
}

// copyFromGuest passes the guest's frames on, to the last one.
func copyFromGuest(c *guest.Copy, client net.Conn) {
	for {
		kind, payload, err := c.Next()
		if err != nil {
			return
		}
		if kind == wire.FrameCopied {
			if last, err := guest.Copied(payload); err == nil {
				wire.WriteCopied(client, last)
			}
			return
		}
		if wire.WriteFrame(client, kind, payload) != nil {
			return
		}
	}
}

// CopyIn begins to put files into the root. The connection carries the frames of
// package wire both ways; closing it ends the copy.
func (c *Client) CopyIn(ctx context.Context, in wire.CopyIn) (*net.UnixConn, error) {
	conn, _, err := c.call(ctx, request{Op: opCopyIn, CopyIn: &in})
	return conn, err
}

// CopyOut begins to get files, as CopyIn.
func (c *Client) CopyOut(ctx context.Context, out wire.CopyOut) (*net.UnixConn, error) {
	conn, _, err := c.call(ctx, request{Op: opCopyOut, CopyOut: &out})
	return conn, err
}
