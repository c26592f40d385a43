package router

import (
	"context"
	"io"
	"net"
	"sync"
)

// halfCloser is what both ends of a raw stream can do: say that no more will come
// and go on reading.
type halfCloser interface{ CloseWrite() error }

// serveTCP accepts raw streams until the listener closes.
func (r *Router) serveTCP(ctx context.Context, l net.Listener, v *visitors, t *target) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go v.work(func() { r.carry(ctx, conn.(*visitor), t) })
	}
}

// carry wakes the instance and joins the client to it. A client that can't be
// served gets a reset, not an end of stream: an empty answer would be a lie.
func (r *Router) carry(ctx context.Context, client *visitor, t *target) {
	defer client.Close()
	guest, _, err := t.dial(ctx)
	if err != nil {
		r.log.Debug("tcp connection refused", "instance", t.id, "port", t.port, "err", err)
		client.reset()
		return
	}
	defer guest.Close()
	defer context.AfterFunc(ctx, func() { guest.Close() })()
	splice(client, guest)
}

// splice copies both ways until both have ended, each end passed on as it comes.
// When one way breaks, both are cut, the client's by a reset.
func splice(client *visitor, guest net.Conn) {
	cut := func() {
		guest.Close()
		client.reset()
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		oneWay(guest, client, cut)
	}()
	oneWay(client, guest, cut)
	<-up
}

// oneWay copies until src ends and passes the end on to dst, or cuts.
func oneWay(dst, src net.Conn, cut func()) {
	if err := pump(dst, src); err != nil {
		cut()
	} else if h, ok := dst.(halfCloser); ok {
		h.CloseWrite() // an error means that dst is gone, which the other way sees
	}
}

// Buffers of a copy: a quiet connection holds the small one, so that a thousand
// of them cost 8 MB and not 128; a busy one borrows the big one.
const (
	quiet = 4 << 10
	busy  = 64 << 10
)

var busyBuffers = sync.Pool{New: func() any { return new([busy]byte) }}

// pump copies src to dst until src ends; nil is its orderly end.
func pump(dst io.Writer, src io.Reader) error {
	small := make([]byte, quiet)
	for {
		n, err := src.Read(small)
		if werr := write(dst, small[:n]); werr != nil {
			return werr
		}
		if err == nil && n == quiet {
			err = rush(dst, src)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rush copies with a big buffer for as long as reads fill a good part of it.
func rush(dst io.Writer, src io.Reader) error {
	buf := busyBuffers.Get().(*[busy]byte)
	defer busyBuffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if werr := write(dst, buf[:n]); werr != nil {
			return werr
		}
		if err != nil || n < quiet {
			return err
		}
	}
}

func write(dst io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := dst.Write(p)
	return err
}
