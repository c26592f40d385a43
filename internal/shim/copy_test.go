package shim

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// reading is an operation that keeps the tar stream it gets, and answers with last.
func reading(got chan<- []byte, last wire.Copied) operation {
	return func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		data, err := io.ReadAll(wire.NewTarReader(s))
		if err == nil {
			wire.WriteCopied(s, last)
		}
		got <- data
	}
}

// last reads the status of a copy.
func last(t *testing.T, conn net.Conn) wire.Copied {
	t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	kind, payload, err := wire.NewFrameReader(conn).Next()
	if err != nil || kind != wire.FrameCopied {
		t.Fatalf("type %d, %v", kind, err)
	}
	c, err := wire.ParseCopied(payload)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCopyIn(t *testing.T) {
	got := make(chan []byte, 1)
	w := begin(t, on(wire.OpCopyIn, reading(got, wire.Copied{})), nil)
	w.mustStart(false)
	conn, err := w.client.CopyIn(t.Context(), wire.CopyIn{Path: []byte("/x")})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := append(bytes.Repeat([]byte("data"), 1<<18), make([]byte, 1<<20)...)
	tarred := wire.NewTarWriter(conn)
	tarred.Write(want)
	tarred.Flush()
	wire.WriteFrame(conn, wire.FrameEnd, nil)
	if c := last(t, conn); c.Error != nil {
		t.Errorf("%+v", c.Error)
	}
	if data := <-got; !bytes.Equal(data, want) {
		t.Errorf("%d bytes came, want %d", len(data), len(want))
	}
}

// TestCopyInCut ends in the guest as a cut, not as an end.
func TestCopyInCut(t *testing.T) {
	ended := make(chan error, 1)
	w := begin(t, on(wire.OpCopyIn, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		_, err := io.ReadAll(wire.NewTarReader(s))
		ended <- err
	}), nil)
	w.mustStart(false)
	conn, err := w.client.CopyIn(t.Context(), wire.CopyIn{})
	if err != nil {
		t.Fatal(err)
	}
	wire.WriteFrame(conn, wire.FrameData, []byte("half"))
	conn.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the guest took the cut for the end")
		}
	case <-time.After(patience):
		t.Fatal("the copy did not end with its client")
	}
}

// TestCopyRefusedInTheMiddle is told, although the client goes on to send.
func TestCopyRefusedInTheMiddle(t *testing.T) {
	w := begin(t, on(wire.OpCopyIn, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		wire.WriteCopied(s, wire.Copied{Error: &wire.Error{Kind: fault.File, Why: "no\x1b room"}})
	}), nil)
	w.mustStart(false)
	conn, err := w.client.CopyIn(t.Context(), wire.CopyIn{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(wire.NewTarWriter(conn), noise{})
	if c := last(t, conn); c.Error == nil || c.Error.Kind != fault.File || c.Error.Why != "no room" {
		t.Errorf("%+v", c.Error)
	}
}

// noise has no end.
type noise struct{}

func (noise) Read(p []byte) (int, error) { p[0] = 1; return len(p), nil }

func TestCopyOut(t *testing.T) {
	w := begin(t, on(wire.OpCopyOut, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		tarred := wire.NewTarWriter(s)
		tarred.Write(make([]byte, 1<<20))
		tarred.Write([]byte("end"))
		tarred.Flush()
		wire.WriteCopied(s, wire.Copied{Left: 2})
	}), nil)
	w.mustStart(false)
	conn, err := w.client.CopyOut(t.Context(), wire.CopyOut{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	r := wire.NewTarReader(conn)
	data, err := io.ReadAll(r)
	if err != nil || len(data) != 1<<20+3 || r.Copied().Left != 2 {
		t.Errorf("%d bytes, %+v, %v", len(data), r.Copied(), err)
	}
}

// TestCopyOutCut: a guest that ends in the middle is not at the end.
func TestCopyOutCut(t *testing.T) {
	w := begin(t, on(wire.OpCopyOut, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		wire.WriteFrame(s, wire.FrameData, []byte("half"))
		wire.WriteFrame(s, wire.FrameEnd, nil)
	}), nil)
	w.mustStart(false)
	conn, err := w.client.CopyOut(t.Context(), wire.CopyOut{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if data, err := io.ReadAll(wire.NewTarReader(conn)); string(data) != "half" || err == nil {
		t.Errorf("%q, %v", data, err)
	}
}
