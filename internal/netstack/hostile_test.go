package netstack

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// segment is a frame with a TCP segment or a UDP datagram of nothing.
func segment(mac net.HardwareAddr, from, to netip.Addr, proto byte, port uint16, flags byte) []byte {
	f := make([]byte, 0, 100)
	f = append(f, GatewayMAC...)
	f = append(f, mac...)
	f = binary.BigEndian.AppendUint16(f, typeIPv4)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], 40)
	copy(ip[12:], from.AsSlice())
	copy(ip[16:], to.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip, 0))
	l4 := make([]byte, 20)
	binary.BigEndian.PutUint16(l4[0:], port)
	binary.BigEndian.PutUint16(l4[2:], 80)
	if proto == protoUDP {
		binary.BigEndian.PutUint16(l4[4:], 20)
		binary.BigEndian.PutUint16(l4[6:], 0) // no checksum
	} else {
		l4[12], l4[13] = 5<<4, flags
		binary.BigEndian.PutUint16(l4[14:], 1000)
		pseudo := checksum.Checksum(ip[12:20], uint16(proto)+20)
		binary.BigEndian.PutUint16(l4[16:], ^checksum.Checksum(l4, pseudo))
	}
	return append(append(f, ip...), l4...)
}

const syn = 2

var somewhere = netip.MustParseAddr("1.2.3.4")

func put(w io.Writer, frame []byte) error {
	_, err := w.Write(append(head(len(frame)), frame...))
	return err
}

func TestForgedAddresses(t *testing.T) {
	o := world(nil)
	wire, m := plug(t, o)
	for _, frame := range [][]byte{
		segment(net.HardwareAddr{2, 0, 0, 0, 0, 9}, Guest4.Addr(), somewhere, protoTCP, 1, syn),
		segment(GatewayMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn),
		segment(guestMAC, netip.MustParseAddr("8.8.8.8"), somewhere, protoTCP, 1, syn),
		segment(guestMAC, Gateway4, somewhere, protoUDP, 1, 0),
		segment(guestMAC, netip.MustParseAddr("127.0.0.1"), somewhere, protoUDP, 1, 0),
		segment(guestMAC, Guest4.Addr(), somewhere, 47, 1, 0), // GRE
		segment(guestMAC, Guest4.Addr(), somewhere, 2, 1, 0),  // IGMP
	} {
		put(wire, frame)
	}
	m.eventually("seven dropped", func() bool { return m.counters.Dropped.Load() == 7 })
	put(wire, segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn))
	m.eventually("the guest's own frame passes", func() bool { return o.count() == 1 })
	if n := o.count(); n != 1 {
		t.Errorf("%d dials", n)
	}
}

// A guest without IPv6 sends nothing of it.
func TestWithoutIPv6(t *testing.T) {
	frame := echoRequest(netip.MustParseAddr("2606::1"), 1, 1, "x")
	for ipv6, want := range map[bool]verdict{true: echo, false: drop} {
		if got := (filter{guestMAC, ipv6}).judge(frame); got != want {
			t.Errorf("IPv6 %v: %d, want %d", ipv6, got, want)
		}
	}
}

// A stream that can't be trusted ends the helper, and with it the VM; a short
// frame is just dropped.
func TestOversizedAndCutFrames(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		fails bool
	}{
		{"oversized", head(maxFrame + 1), true},
		{"huge", []byte{0xff, 0xff, 0xff, 0xff}, true},
		{"cut", append(head(100), make([]byte, 50)...), true},
		{"cut length", []byte{0, 0}, true},
		{"empty", append(head(0), append(head(5), make([]byte, 5)...)...), false},
		{"largest", append(head(maxFrame), make([]byte, maxFrame)...), false},
	} {
		wire, m := plug(t, world(nil))
		wire.Write(c.bytes)
		wire.(*net.TCPConn).CloseWrite()
		select {
		case err := <-m.done:
			m.done <- err
			if (err != nil) != c.fails {
				t.Errorf("%s: %v", c.name, err)
			}
		case <-time.After(patience):
			t.Errorf("%s: Serve does not end", c.name)
		}
	}
}

// A flood is held to the cap, and what is over goes.
func TestSYNFlood(t *testing.T) {
	o := world(nil)
	o.hole["tcp 1.2.3.4:80"] = true
	wire, m := plug(t, o)
	go io.Copy(io.Discard, wire)
	for port := range 10_000 {
		put(wire, segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, uint16(port+1), syn))
	}
	put(wire, segment(guestMAC, Gateway4, somewhere, protoTCP, 1, syn)) // dropped: all before it were taken
	m.eventually("all were read", func() bool { return m.counters.Dropped.Load() > 0 })
	if n := o.count(); n > maxPending {
		t.Errorf("%d dials for a flood, want at most %d", n, maxPending)
	}
}

// Half-open connections, of which the guest never sends the last ACK, are held to the caps.
func TestHalfOpen(t *testing.T) {
	o := world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) { io.Copy(io.Discard, c) }})
	wire, m := plug(t, o)
	go io.Copy(io.Discard, wire)
	for port := range 10_000 {
		put(wire, segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, uint16(port+1), syn))
	}
	put(wire, segment(guestMAC, Gateway4, somewhere, protoTCP, 1, syn))
	m.eventually("all were read", func() bool { return m.counters.Dropped.Load() > 0 })
	if n := o.count(); n > maxPending {
		t.Errorf("%d dials, want at most %d", n, maxPending)
	}
}

// Connections that both ends have closed, and of which the guest acknowledges nothing,
// count until they are forgotten.
func TestNeverAcknowledged(t *testing.T) {
	o := world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) { c.Write([]byte("x")) }})
	wire, _ := plug(t, o)
	wire.SetDeadline(time.Now().Add(patience))
	g := &greedy{wire, newFrameReader(wire)}
	const more = 50
	opened, refused := 0, 0
	for port := range uint16(maxTCP + more) {
		put(wire, tcpSegment(port+1, 1, 0, syn, nil))
		for before := opened + refused; opened+refused == before; {
			f, err := g.frames.next()
			if err != nil {
				t.Fatalf("%d opened, %d refused: %v", opened, refused, err)
			}
			switch answer := g.isAnswer(f); {
			case answer && binary.BigEndian.Uint16(f[36:]) == port+1:
				put(wire, tcpSegment(port+1, 2, binary.BigEndian.Uint32(f[38:])+1, 0x11, nil)) // and its end
				opened++
			case len(f) >= 54 && f[23] == protoTCP && f[47]&4 != 0:
				refused++
			}
		}
	}
	if opened != maxTCP || refused != more {
		t.Errorf("%d opened, %d refused, want %d and %d", opened, refused, maxTCP, more)
	}
}

func TestUDPFlood(t *testing.T) {
	o := world(nil)
	o.hole["udp 1.2.3.4:80"] = true
	wire, m := plug(t, o)
	go io.Copy(io.Discard, wire)
	for port := range 10_000 {
		put(wire, segment(guestMAC, Guest4.Addr(), somewhere, protoUDP, uint16(port+1), 0))
	}
	m.eventually("those over the cap are dropped", func() bool { return m.counters.Dropped.Load() == 10_000-maxUDP })
	if n := o.count(); n > maxUDP {
		t.Errorf("%d dials, want at most %d", n, maxUDP)
	}
}

// Ten thousand sockets: each is served or refused, and the caps hold.
func TestManySockets(t *testing.T) {
	if testing.Short() {
		t.Skip("pending: takes seconds")
	}
	o := world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) { io.Copy(io.Discard, c) }})
	m := boot(t, o)
	served, refused := 0, 0
	for served+refused < maxTCP+200 {
		c, err := m.dialTCP("1.2.3.4:80")
		if err != nil {
			refused++
			continue
		}
		defer c.Close()
		served++
	}
	if served != maxTCP || refused != 200 {
		t.Errorf("%d served, %d refused", served, refused)
	}
}

// A guest that never reads stalls its own downloads and not what it sends.
func TestGuestNeverReads(t *testing.T) {
	o := world(nil)
	wire, m := plug(t, o)
	flood := make(chan struct{})
	go func() {
		defer close(flood)
		for port := range 200_000 { // each asks for a reset
			if put(wire, segment(guestMAC, Guest4.Addr(), Gateway4, protoTCP, uint16(port), syn)) != nil {
				return
			}
		}
	}()
	select {
	case <-flood:
	case <-time.After(patience):
		t.Fatal("a guest that does not read can't write either")
	}
	put(wire, segment(guestMAC, Gateway4, somewhere, protoTCP, 1, syn))
	m.eventually("all were read", func() bool { return m.counters.Dropped.Load() > 0 })
}

// Fragments that never become whole cost a bounded amount, and whole ones arrive.
func TestFragments(t *testing.T) {
	o := world(nil)
	wire, m := plug(t, o)
	go io.Copy(io.Discard, wire)
	for id := range 20_000 {
		frame := segment(guestMAC, Guest4.Addr(), somewhere, protoUDP, 7, 0)
		ip := frame[ethernetHeader:]
		binary.BigEndian.PutUint16(ip[4:], uint16(id))
		binary.BigEndian.PutUint16(ip[6:], 0x2000|uint16(rand.IntN(100))) // more to come
		binary.BigEndian.PutUint16(ip[2:], 36)                            // fragments are of eights
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip[:20], 0))
		put(wire, frame)
	}
	put(wire, segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn))
	m.eventually("what comes behind them passes", func() bool { return o.count() == 1 })
}

// What would have the stack send thousands of small segments is not let through.
func TestSmallSegments(t *testing.T) {
	asks := func(options ...byte) []byte {
		f := segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn)
		f[ethernetHeader+20+12] = byte(5+len(options)/4) << 4
		return append(f, options...)
	}
	part := asks()
	part[ethernetHeader+6] = 0x20 // more to come
	message := func(to netip.Addr, kind byte) []byte {
		f := segment(guestMAC, Guest4.Addr(), to, protoICMP, 0, 0)
		f[ethernetHeader+20] = kind
		return f
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  verdict
	}{
		{"no option", asks(), pass},
		{"536", asks(2, 4, 2, 24), pass},
		{"535", asks(2, 4, 2, 23), drop},
		{"behind another option", asks(1, 1, 4, 2, 2, 4, 0, 48), drop},
		{"behind the end", asks(0, 0, 0, 0, 2, 4, 0, 48), pass},
		{"of a wrong length", asks(2, 3, 2, 24), drop},
		{"cut", asks(3, 9, 0, 0), drop},
		{"in fragments", part, drop},
		{"too large, says an error", message(Gateway4, 3), drop},
		{"an echo request", message(Gateway4, 8), pass},
		{"an echo request to somebody else", message(somewhere, 8), echo},
	} {
		if got := (filter{mac: guestMAC}).judge(c.frame); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn))
	f.Add(segment(guestMAC, Guest4.Addr(), somewhere, protoICMP, 0x0800, 0))
	f.Add(append(segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn)[:12], 0x86, 0xdd, 0x60))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > maxFrame {
			return
		}
		if (filter{guestMAC, true}).judge(frame) == echo {
			e := parseEcho(frame)
			message := append([]byte(nil), e.message...)
			message[0] = map[int]byte{20: 0, 40: 129}[e.ip]
			if got := e.reply(message); len(got) != ethernetHeader+e.ip+len(message) {
				t.Errorf("a reply of %d bytes", len(got))
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04test\x00\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := parseQuery(b); ok {
			if q.room < plainUDP || q.room > largeUDP {
				t.Errorf("room for %d bytes", q.room)
			}
			q.empty(0, true)
		}
	})
}

// FuzzServe gives any frames to the whole of it.
func FuzzServe(f *testing.F) {
	f.Add(segment(guestMAC, Guest4.Addr(), somewhere, protoTCP, 1, syn))
	f.Add(segment(guestMAC, Guest4.Addr(), Gateway4, protoUDP, 1, 0))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > maxFrame || len(frame) < ethernetHeader {
			return
		}
		wire, m := plug(t, world(nil))
		copy(frame[6:12], guestMAC)
		put(wire, frame)
		wire.(*net.TCPConn).CloseWrite()
		if err := <-m.done; err != nil {
			t.Error(err)
		}
		m.done <- nil
	})
}
