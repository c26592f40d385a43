package netstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

var guestMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}

const patience = 20 * time.Second // far beyond what anything here takes

// outside is the world as the dialer of these tests sees it: addresses lead to
// functions that serve one connection.
type outside struct {
	mu    sync.Mutex
	serve map[string]func(net.Conn) // "tcp 1.2.3.4:80"
	hole  map[string]bool           // dials that take until their context ends
	asked []string
}

func (o *outside) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	key := network + " " + to.String()
	o.mu.Lock()
	o.asked = append(o.asked, key)
	serve, hole := o.serve[key], o.hole[key]
	o.mu.Unlock()
	if hole {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if serve == nil {
		return nil, errors.New("denied")
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	go func() { defer theirs.Close(); serve(theirs) }()
	return ours, nil
}

func (o *outside) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.asked)
}

// Resolve answers 1.2.3.4 for one name, and a long text for another.
func (o *outside) Resolve(_ context.Context, name string, qtype uint16) ([]byte, error) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.Type(qtype), Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
	switch name {
	case "web.test.":
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte{1, 2, 3, 4}}}}
	case "long.test.":
		for range 60 {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.TXTResource{TXT: []string{fmt.Sprintf("%0200d", 0)}}})
		}
	case "broken.test.":
		return nil, errors.New("no server answers")
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	return m.Pack()
}

// pair is two connected sockets, with half-close and as real as a monitor's.
func pair() (a, b net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}

// machine is a guest with a network stack of its own, joined to the one under test.
type machine struct {
	t        *testing.T
	stack    *stack.Stack
	counters Counters
	done     chan error // Serve's
}

// plug starts Serve and returns the guest's end of the wire.
func plug(t *testing.T, o *outside) (net.Conn, *machine) { return plugged(t, o, nil) }

// plugged is plug with streams to the guest.
func plugged(t *testing.T, o *outside, arrivals <-chan Arrival) (net.Conn, *machine) {
	t.Helper()
	return pluggedInto(t, o, o, arrivals)
}

func pluggedInto(t *testing.T, o *outside, dialer Dialer, arrivals <-chan Arrival) (net.Conn, *machine) {
	t.Helper()
	monitor, ours, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		m.done <- Serve(ctx, ours, Config{MAC: guestMAC, IPv6: true, Dialer: dialer, Resolver: o, Counters: &m.counters, Arrivals: arrivals})
	}()
	t.Cleanup(func() {
		cancel()
		monitor.Close()
		select {
		case <-m.done:
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
	})
	return monitor, m
}

// boot is plug with a stack behind the wire.
func boot(t *testing.T, o *outside) *machine {
	t.Helper()
	return open(t, o, nil)
}

// open is boot with streams to the guest, which takes them for its loopback's own.
func open(t *testing.T, o *outside, arrivals <-chan Arrival) *machine {
	t.Helper()
	wire, m := plugged(t, o, arrivals)
	m.plugIn(wire)
	return m
}

// bootWith is boot with another dialer.
func bootWith(t *testing.T, d Dialer) *machine {
	t.Helper()
	wire, m := pluggedInto(t, world(nil), d, nil)
	m.plugIn(wire)
	return m
}

// plugIn gives the machine its stack, behind the wire.
func (m *machine) plugIn(wire net.Conn) {
	t := m.t
	t.Helper()
	link := channel.New(1024, MTU+ethernetHeader, tcpip.LinkAddress(guestMAC))
	m.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true}), ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := m.stack.CreateNIC(nic, ethernet.New(link)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []netip.Prefix{Guest4, Guest6, netip.PrefixFrom(loopback, 8)} {
		m.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: protocol(p.Addr()), AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()}}, stack.AddressProperties{})
	}
	m.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFromSlice(Gateway4.AsSlice()), NIC: nic},
		{Destination: header.IPv6EmptySubnet, Gateway: tcpip.AddrFromSlice(Gateway6.AsSlice()), NIC: nic},
	})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	t.Cleanup(m.stack.Close)
	go func() {
		for {
			pkt := link.ReadContext(ctx)
			if pkt == nil {
				return
			}
			frame := pkt.ToView().AsSlice()
			copy(frame, GatewayMAC) // the stack takes the other 127.0.0.1 for its own
			wire.Write(append(head(len(frame)), frame...))
			pkt.DecRef()
		}
	}()
	go func() {
		frames := newFrameReader(wire)
		for {
			frame, err := frames.next()
			if err != nil {
				return
			}
			if frame[0]&1 == 0 && !bytes.Equal(frame[:6], guestMAC) {
				continue // for another machine
			}
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
			link.InjectInbound(0, pkt)
			pkt.DecRef()
		}
	}()
}

func full(to netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(to.Addr().AsSlice()), Port: to.Port()}
}

func (m *machine) dialTCP(to string) (*gonet.TCPConn, error) {
	at := netip.MustParseAddrPort(to)
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	return gonet.DialContextTCP(ctx, m.stack, full(at), protocol(at.Addr()))
}

func (m *machine) mustTCP(to string) *gonet.TCPConn {
	m.t.Helper()
	c, err := m.dialTCP(to)
	if err != nil {
		m.t.Fatalf("dial %s: %v", to, err)
	}
	c.SetDeadline(time.Now().Add(patience))
	m.t.Cleanup(func() { c.Close() })
	return c
}

func (m *machine) dialUDP(to string) *gonet.UDPConn {
	m.t.Helper()
	at := netip.MustParseAddrPort(to)
	remote := full(at)
	c, err := gonet.DialUDP(m.stack, nil, &remote, protocol(at.Addr()))
	if err != nil {
		m.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	m.t.Cleanup(func() { c.Close() })
	return c
}

func echoBack(c net.Conn) { io.Copy(c, c) }

func (m *machine) eventually(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("never: %s", what)
		}
	}
}
