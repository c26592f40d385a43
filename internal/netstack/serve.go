package netstack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"aegis/internal/undo"
)

// network is one guest's.
type network struct {
	cfg         Config
	ctx         context.Context // of Serve
	stack       *stack.Stack
	link        *channel.Endpoint
	filter      filter
	tcp         slots
	ingress     slots
	lastIngress atomic.Uint32
	udp         slots
	pings       slots
	rooms       *rooms
}

// Serve runs the network on a stream of frames until the stream ends, which is nil,
// or ctx does. It closes the stream and every connection.
func Serve(ctx context.Context, frames net.Conn, cfg Config) error {
	var u undo.Stack
	defer u.Run()
	ctx, cancel := context.WithCancel(ctx)
	u.Add(cancel)
	u.Add(func() { frames.Close() })
	if cfg.Counters == nil {
		cfg.Counters = &Counters{}
	}
	n := &network{cfg: cfg, ctx: ctx, filter: filter{cfg.MAC, cfg.IPv6},
		tcp: newSlots(maxTCP), ingress: newSlots(maxIngress), udp: newSlots(maxUDP), pings: newSlots(maxPings), rooms: newRooms()}
	if err := n.build(); err != nil {
		return fmt.Errorf("make a network stack: %w", err)
	}
	u.Add(n.stack.Close)
	go func() {
		<-ctx.Done()
		frames.Close()
	}()
	go n.arrivals(cfg.Arrivals)
	go func() {
		newSender(n.link, n.cfg.MAC).run(ctx, frames)
		cancel()
	}()
	if err := n.receive(frames); err != io.EOF && ctx.Err() == nil {
		return err
	}
	return nil
}

// slots bounds what is there at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, n) }

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) give() { <-s }

const nic = tcpip.NICID(1)

// build makes the stack. It takes packets to any address, ends those of TCP and
// UDP, and answers echo requests to the gateway only.
func (n *network) build() error {
	n.stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{arp.NewProtocol,
			ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true}), ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		HandleLocal:        false,
	})
	n.link = channel.New(maxQueue, MTU+ethernetHeader, tcpip.LinkAddress(GatewayMAC))
	n.link.LinkEPCapabilities = stack.CapabilityRXChecksumOffload // a wire that loses no bit
	if err := n.stack.CreateNIC(nic, ethernet.New(n.link)); err != nil {
		return fmt.Errorf("%s", err)
	}
	n.stack.SetPromiscuousMode(nic, true)
	n.stack.SetSpoofing(nic, true)
	gateways := []netip.Prefix{netip.PrefixFrom(Gateway4, Guest4.Bits())}
	routes := []tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}}
	if n.cfg.IPv6 {
		gateways = append(gateways, netip.PrefixFrom(Gateway6, Guest6.Bits()))
		routes = append(routes, tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: nic})
	}
	for _, g := range gateways {
		address := tcpip.ProtocolAddress{Protocol: protocol(g.Addr()), AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(g.Addr().AsSlice()), PrefixLen: g.Bits()}}
		if err := n.stack.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("%s", err)
		}
	}
	n.stack.SetRouteTable(routes)
	n.tune()
	if err := n.ownLoopback(); err != nil {
		return err
	}
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(n.stack, firstReceive, maxPending, n.connect).HandlePacket)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(n.stack, n.datagram).HandlePacket)
	for _, g := range gateways {
		if err := n.serveDNS(g.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// tune sets what the stack's defaults have for other uses. A guest may be paused for
// hours: its connections are tried again for as long, and never rarely. None is
// remembered after its end (TIME-WAIT, RFC 9293, 3.6.1): where the far end closes first
// the guest may use its port again at once, and a forwarder would leave that unanswered.
// On a wire that changes no order nothing late can come.
func (n *network) tune() {
	n.stack.SetOption(tcpip.ReceiveBufferSizeOption{Min: 4 << 10, Default: udpReceive, Max: udpReceive})
	sack := tcpip.TCPSACKEnabled(true)
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	maxRTO := tcpip.TCPMaxRTOOption(tcpRetry)
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &maxRTO)
	retries := tcpip.TCPMaxRetriesOption(tcpRetries)
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &retries)
	wait := tcpip.TCPTimeWaitTimeoutOption(0)
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &wait)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: smallRoom.stack, Max: largeRoom.stack}
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &send)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: smallRoom.stack, Max: largeRoom.stack}
	n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &receive)
}

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// receive gives the guest's frames to the stack, until it returns why there are no more.
func (n *network) receive(r io.Reader) error {
	frames := newFrameReader(r)
	for {
		frame, err := frames.next()
		if err != nil {
			return err
		}
		switch n.filter.judge(frame) {
		case pass:
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
			n.link.InjectInbound(0, pkt)
			pkt.DecRef()
		case echo:
			n.ping(frame)
		default:
			n.cfg.Counters.Dropped.Add(1)
		}
	}
}

// emit queues a frame that the stack did not make.
func (n *network) emit(frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	var list stack.PacketBufferList
	list.PushBack(pkt)
	n.link.WritePackets(list)
}
