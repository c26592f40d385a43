package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

func world(serve map[string]func(net.Conn)) *outside {
	return &outside{serve: serve, hole: map[string]bool{}}
}

func TestTCP(t *testing.T) {
	for _, to := range []string{"1.2.3.4:80", "[2606:4700::1111]:443"} {
		m := boot(t, world(map[string]func(net.Conn){"tcp " + to: echoBack}))
		c := m.mustTCP(to)
		text := bytes.Repeat([]byte("0123456789abcdef"), 256<<10) // 4 MiB
		go func() {
			c.Write(text)
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes of %d came back, %v", to, len(got), len(text), err)
		}
		if m.counters.Sent.Load() != uint64(len(text)) || m.counters.Received.Load() != uint64(len(text)) {
			t.Errorf("counted %d and %d", m.counters.Sent.Load(), m.counters.Received.Load())
		}
	}
}

// What is refused is refused at once, and before anything was answered.
func TestTCPDenied(t *testing.T) {
	o := world(nil)
	m := boot(t, o)
	for _, to := range []string{"10.0.0.1:80", "[fd00::1]:80", Gateway4.String() + ":80"} {
		c, err := m.dialTCP(to)
		if err == nil {
			c.Close()
			t.Errorf("%s is connected", to)
		} else if !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", to, err)
		}
	}
	for _, asked := range o.asked {
		if strings.Contains(asked, Gateway4.String()) {
			t.Errorf("the dialer was asked for the gateway: %s", asked)
		}
	}
}

func TestHalfClose(t *testing.T) {
	m := boot(t, world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) {
		all, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(all))
	}}))
	c := m.mustTCP("1.2.3.4:80")
	c.Write([]byte("hello"))
	c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "got 5" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A guest may use a port again as soon as it knows that the connection has ended.
func TestPortAgain(t *testing.T) {
	m := boot(t, world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) { c.Write([]byte("x")) }}))
	from := full(netip.AddrPortFrom(Guest4.Addr(), 40000))
	for n := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		c, err := gonet.DialTCPWithBind(ctx, m.stack, from, full(netip.MustParseAddrPort("1.2.3.4:80")), ipv4.ProtocolNumber)
		cancel()
		if err != nil {
			t.Fatalf("connection %d from one port: %v", n, err)
		}
		if got, err := io.ReadAll(c); string(got) != "x" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		c.Close()
		m.eventually("the guest's port is free", func() bool { return m.stack.Stats().TCP.CurrentConnected.Value() == 0 })
	}
}

// Ten destinations that never answer hold up nothing else.
func TestBlackHoles(t *testing.T) {
	o := world(map[string]func(net.Conn){"tcp 1.2.3.4:80": echoBack})
	m := boot(t, o)
	for i := range 10 {
		to := fmt.Sprintf("9.9.9.%d:80", i)
		o.hole["tcp "+to] = true
		go m.dialTCP(to)
	}
	m.eventually("ten dials", func() bool { return o.count() == 10 })
	c := m.mustTCP("1.2.3.4:80")
	c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestUDP(t *testing.T) {
	m := boot(t, world(map[string]func(net.Conn){"udp 1.2.3.4:123": echoBack, "udp [2606::1]:123": echoBack}))
	for _, to := range []string{"1.2.3.4:123", "[2606::1]:123"} {
		c := m.dialUDP(to)
		for _, size := range []int{1, 1400, 60000} {
			c.Write(make([]byte, size))
			got := 0
			for got < size { // the test's world is a stream
				n, err := c.Read(make([]byte, 65536))
				if err != nil {
					t.Fatalf("%s, %d bytes: %v", to, size, err)
				}
				got += n
			}
		}
	}
	if sent, received := m.counters.Sent.Load(), m.counters.Received.Load(); sent != 2*61401 || received != 2*61401 {
		t.Errorf("counted %d and %d", sent, received)
	}
	c := m.dialUDP("5.5.5.5:123")
	c.Write([]byte("x"))
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes came from where nothing is", n)
	}
}

func ask(t *testing.T, name string, size uint16) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	if size > 0 {
		var h dnsmessage.ResourceHeader
		h.SetEDNS0(int(size), 0, false)
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDNS(t *testing.T) {
	m := boot(t, world(nil))
	read := func(c net.Conn) dnsmessage.Message {
		buf := make([]byte, 65536)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		var got dnsmessage.Message
		if err := got.Unpack(buf[:n]); err != nil || got.ID != 4711 || !got.Response {
			t.Fatalf("%+v, %v", got.Header, err)
		}
		return got
	}
	for _, gateway := range []string{Gateway4.String() + ":53", "[" + Gateway6.String() + "]:53"} {
		c := m.dialUDP(gateway)
		for _, q := range []struct {
			name      string
			size      uint16
			code      dnsmessage.RCode
			answers   int
			truncated bool
		}{
			{"web.test.", 0, dnsmessage.RCodeSuccess, 1, false},
			{"web.test.", 4096, dnsmessage.RCodeSuccess, 1, false},
			{"long.test.", 65535, dnsmessage.RCodeSuccess, 0, true},
			{"none.test.", 0, dnsmessage.RCodeNameError, 0, false},
			{"broken.test.", 0, dnsmessage.RCodeServerFailure, 0, false},
		} {
			c.Write(ask(t, q.name, q.size))
			got := read(c)
			if got.RCode != q.code || len(got.Answers) != q.answers || got.Truncated != q.truncated {
				t.Errorf("%+v: %+v, %d answers", q, got.Header, len(got.Answers))
			}
		}
		stream := m.mustTCP(gateway)
		for range 2 {
			query := ask(t, "long.test.", 0)
			stream.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...))
			var size [2]byte
			io.ReadFull(stream, size[:])
			body := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(stream, body); err != nil {
				t.Fatal(err)
			}
			var got dnsmessage.Message
			if err := got.Unpack(body); err != nil || len(got.Answers) != 60 || got.ID != 4711 {
				t.Errorf("%d answers, %v", len(got.Answers), err)
			}
		}
	}
	if n := m.counters.Queries.Load(); n != 14 {
		t.Errorf("%d queries counted", n)
	}
}

// Many at once, up to what a browser or a package manager opens.
func TestParallel(t *testing.T) {
	m := boot(t, world(map[string]func(net.Conn){"tcp 1.2.3.4:80": echoBack}))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			c, err := m.dialTCP("1.2.3.4:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			go func() { c.Write(make([]byte, 128<<10)); c.CloseWrite() }()
			if n, err := io.Copy(io.Discard, c); n != 128<<10 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	all.Wait()
}
