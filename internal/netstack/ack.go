package netstack

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An acknowledgement of little, a request say, waits for the answer to carry it, since
// each frame costs the guest an interrupt and its way through its stack. That is
// what RFC 9293, 3.8.6.3, allows for half a second; it ends before a guest misses it.
const (
	ackWait   = 3 * time.Millisecond
	ackLittle = 16 << 10 // bytes; more than that come from a sender that waits for room
	maxFlows  = 2 * (maxTCP + maxIngress)
)

// tcpFlow is a TCP connection as frames to the guest have it.
type tcpFlow struct {
	from netip.AddrPort
	to   uint16
}

// flowState is what the guest was told last.
type flowState struct {
	ack  uint32
	bulk bool // by much at once
}

// heldAck is an acknowledgement that waits.
type heldAck struct {
	tcpFlow
	pkt   *stack.PacketBuffer
	ack   uint32
	since time.Time
}

// acks holds acknowledgements back, the latest of each connection. It is not for several
// goroutines.
type acks struct {
	told map[tcpFlow]flowState
	held []heldAck
}

func newAcks() acks { return acks{told: map[tcpFlow]flowState{}} }

// keep takes a frame that can wait, which is true, or notes what another one tells.
func (a *acks) keep(pkt *stack.PacketBuffer, now time.Time) bool {
	f, tcp := flowOf(pkt)
	if tcp == nil {
		return false
	}
	ack := tcp.AckNumber()
	state, known := a.told[f]
	since := a.forget(f, now)
	if onlyAck(pkt, tcp) && known && !state.bulk && ack-state.ack < ackLittle {
		a.held = append(a.held, heldAck{f, pkt, ack, since})
		return true
	}
	a.tell(f, ack)
	return false
}

// forget drops what waits of a connection: a later frame tells as much. It returns since
// when one has waited.
func (a *acks) forget(f tcpFlow, now time.Time) time.Time {
	for i, h := range a.held {
		if h.tcpFlow == f {
			h.pkt.DecRef()
			a.held = append(a.held[:i], a.held[i+1:]...)
			return h.since
		}
	}
	return now
}

// tell notes what the guest is told. What was noted of too many is forgotten: then
// nothing of them waits.
func (a *acks) tell(f tcpFlow, ack uint32) {
	state, known := a.told[f]
	if !known && len(a.told) >= maxFlows {
		clear(a.told)
	}
	if more := ack - state.ack; known && more > 0 {
		state.bulk = more >= ackLittle
	}
	state.ack = ack
	a.told[f] = state
}

// due gives what has waited long enough, for which half the time will do when others
// go out anyway.
func (a *acks) due(now time.Time, others bool) (out []*stack.PacketBuffer) {
	wait := ackWait
	if others {
		wait /= 2
	}
	rest := a.held[:0]
	for _, h := range a.held {
		if now.Sub(h.since) < wait {
			rest = append(rest, h)
			continue
		}
		a.tell(h.tcpFlow, h.ack)
		out = append(out, h.pkt)
	}
	a.held = rest
	return out
}

// next is when something will be due, if anything waits.
func (a *acks) next() (time.Time, bool) {
	if len(a.held) == 0 {
		return time.Time{}, false
	}
	first := a.held[0].since
	for _, h := range a.held {
		if h.since.Before(first) {
			first = h.since
		}
	}
	return first.Add(ackWait), true
}

// flowOf reads a frame of the stack's; nil when it is not TCP.
func flowOf(pkt *stack.PacketBuffer) (tcpFlow, header.TCP) {
	tcp := header.TCP(pkt.TransportHeader().Slice())
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber || len(tcp) < header.TCPMinimumSize {
		return tcpFlow{}, nil
	}
	var from netip.Addr
	switch ip := pkt.NetworkHeader().Slice(); pkt.NetworkProtocolNumber {
	case header.IPv4ProtocolNumber:
		from = netip.AddrFrom4(header.IPv4(ip).SourceAddress().As4())
	case header.IPv6ProtocolNumber:
		from = netip.AddrFrom16(header.IPv6(ip).SourceAddress().As16())
	default:
		return tcpFlow{}, nil
	}
	return tcpFlow{netip.AddrPortFrom(from, tcp.SourcePort()), tcp.DestinationPort()}, tcp
}

// onlyAck tells an acknowledgement with nothing else, blocks that came out of order (RFC 2018)
// included.
func onlyAck(pkt *stack.PacketBuffer, tcp header.TCP) bool {
	const stamped = header.TCPMinimumSize + 12 // with time stamps
	return tcp.Flags() == header.TCPFlagAck && pkt.Data().Size() == 0 && tcp.DataOffset() <= stamped
}
