package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// visitor is a stream of the host's to a port of the guest's.
func visitor(t *testing.T, to chan<- Arrival, port uint16) (net.Conn, error) {
	t.Helper()
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	ours.SetDeadline(time.Now().Add(patience))
	done := make(chan error, 1)
	to <- Arrival{Conn: theirs, Port: port, Greeting: []byte("welcome\n"), Done: func(err error) { done <- err }}
	return ours, <-done
}

// app listens on the guest's loopback and serves each stream.
func (m *machine) app(port uint16, serve func(*gonet.TCPConn)) {
	l, err := gonet.ListenTCP(m.stack, full(netip.AddrPortFrom(loopback, port)), ipv4.ProtocolNumber)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c.(*gonet.TCPConn)) }()
		}
	}()
}

// A stream reaches an application on the loopback, which sees it come from there,
// and each direction ends on its own.
func TestIngress(t *testing.T) {
	to := make(chan Arrival)
	m := open(t, world(nil), to)
	m.app(80, func(c *gonet.TCPConn) {
		fmt.Fprintf(c, "%s\n", c.RemoteAddr())
		all, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(all))
	})
	for range 3 {
		c, err := visitor(t, to, 80)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(make([]byte, 1<<20))
		c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if in, out := m.counters.Asked.Swap(0), m.counters.Served.Swap(0); in != 1<<20 || out != uint64(len(got)-len("welcome\n")) {
			t.Errorf("%d bytes came in and %d went out", in, out)
		}
		if text := string(got); err != nil || !strings.HasPrefix(text, "welcome\n127.0.0.1:6") || !strings.HasSuffix(text, "\ngot 1048576") {
			t.Errorf("%q, %v", got, err)
		}
	}
	if n := m.counters.Sent.Load() + m.counters.Received.Load(); n != 0 {
		t.Errorf("%d bytes are counted as what the guest sent out", n)
	}
}

// Where nobody listens the stream is given back at once, with nothing written to it.
func TestIngressRefused(t *testing.T) {
	to := make(chan Arrival)
	open(t, world(nil), to)
	c, err := visitor(t, to, 81)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A guest that says nothing is told from one that refuses.
func TestIngressUnanswered(t *testing.T) {
	to := make(chan Arrival)
	plugged(t, world(nil), to)
	if _, err := visitor(t, to, 80); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// An answer arrives from an application that reads no more; and when the host's end
// goes, the application's does.
func TestIngressEnds(t *testing.T) {
	to := make(chan Arrival)
	m := open(t, world(nil), to)
	m.app(80, func(c *gonet.TCPConn) { c.Write([]byte("too large")) })
	c, err := visitor(t, to, 80)
	if err != nil {
		t.Fatal(err)
	}
	go c.Write(make([]byte, 8<<20))
	if got, _ := io.ReadAll(c); string(got) != "welcome\ntoo large" {
		t.Errorf("%q", got)
	}
	heard, gone := make(chan string, 1), make(chan error, 1)
	m.app(82, func(c *gonet.TCPConn) {
		words := make([]byte, 10)
		io.ReadFull(c, words)
		heard <- string(words)
		_, failed := c.Write(make([]byte, 2<<20)) // to nobody
		io.Copy(io.Discard, c)
		gone <- failed
	})
	if c, err = visitor(t, to, 82); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("last words"))
	if got := <-heard; got != "last words" {
		t.Errorf("%q", got)
	}
	c.Close()
	select {
	case err := <-gone:
		if err != nil {
			t.Errorf("the stream was cut short: %v", err)
		}
	case <-time.After(patience):
		t.Error("the application's stream does not end")
	}
}

// Beyond the cap a stream is given back, and what a guest opens for itself takes no
// place of the host's.
func TestIngressCap(t *testing.T) {
	to := make(chan Arrival)
	m := open(t, world(nil), to)
	m.app(80, func(c *gonet.TCPConn) { io.Copy(c, c) })
	for range maxIngress {
		if _, err := visitor(t, to, 80); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := visitor(t, to, 80); err == nil {
		t.Errorf("%d streams are open", maxIngress+1)
	}
}

// From its loopback a guest answers streams of the host's, and begins none.
func TestForgedLoopback(t *testing.T) {
	o := world(map[string]func(net.Conn){"tcp 127.0.0.1:80": echoBack, "tcp 127.0.0.1:64000": echoBack})
	wire, m := plugged(t, o, make(chan Arrival))
	const ack, rst = 16, 4
	frame := func(from, to netip.Addr, proto byte, port uint16, flags byte) []byte {
		f := segment(guestMAC, from, to, proto, 80, flags)
		f[36], f[37] = byte(port>>8), byte(port)
		return f
	}
	for _, f := range [][]byte{
		frame(loopback, loopback, protoTCP, 80, syn),
		frame(loopback, loopback, protoTCP, FirstIngress, syn),
		frame(loopback, loopback, protoTCP, FirstIngress, syn|rst),
		frame(loopback, loopback, protoTCP, 80, syn|ack),
		frame(loopback, loopback, protoTCP, FirstIngress-1, ack),
		frame(loopback, loopback, protoUDP, FirstIngress, 0),
		frame(loopback, somewhere, protoTCP, FirstIngress, ack),
		frame(netip.MustParseAddr("127.0.0.2"), loopback, protoTCP, FirstIngress, ack),
		frame(Guest4.Addr(), loopback, protoTCP, FirstIngress, syn),
		frame(Guest4.Addr(), loopback, protoUDP, 53, 0),
	} {
		before := m.counters.Dropped.Load()
		put(wire, f)
		m.eventually(fmt.Sprintf("dropped % x", f[14:]), func() bool { return m.counters.Dropped.Load() == before+1 })
	}
	if o.count() != 0 {
		t.Errorf("asked for %q", o.asked)
	}
}
