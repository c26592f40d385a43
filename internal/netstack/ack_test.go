package netstack

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// outgoing is a segment of the stack's, of 1.2.3.4:80.
func outgoing(port uint16, ack uint32, flags header.TCPFlags, options, data int) *stack.PacketBuffer {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 100, Payload: buffer.MakeWithData(make([]byte, data))})
	p.TransportProtocolNumber, p.NetworkProtocolNumber = header.TCPProtocolNumber, header.IPv4ProtocolNumber
	header.TCP(p.TransportHeader().Push(20 + options)).Encode(&header.TCPFields{SrcPort: 80, DstPort: port, AckNum: ack, DataOffset: uint8(20 + options), Flags: flags})
	header.IPv4(p.NetworkHeader().Push(20)).Encode(&header.IPv4Fields{SrcAddr: tcpip.AddrFrom4(somewhere.As4()), DstAddr: tcpip.AddrFrom4(Guest4.Addr().As4())})
	return p
}

func TestAcknowledgementsWait(t *testing.T) {
	const ack, push, first = header.TCPFlagAck, header.TCPFlagAck | header.TCPFlagPsh, header.TCPFlagAck | header.TCPFlagSyn
	type frame struct {
		ack           uint32
		flags         header.TCPFlags
		options, data int
		waits         bool
	}
	for name, frames := range map[string][]frame{
		"a request's":             {{1, first, 0, 0, false}, {101, ack, 12, 0, true}},
		"each request's":          {{1, first, 0, 0, false}, {101, ack, 0, 0, true}, {201, ack, 0, 0, true}, {201, push, 0, 9, false}, {301, ack, 0, 0, true}},
		"an announcement of room": {{1, first, 0, 0, false}, {1, ack, 0, 0, true}},
		"of much":                 {{1, first, 0, 0, false}, {1 + ackLittle, ack, 0, 0, false}},
		"of little more and more": {{1, first, 0, 0, false}, {ackLittle, ack, 0, 0, true}, {1 + ackLittle, ack, 0, 0, false}},
		"of little behind much":   {{1, first, 0, 0, false}, {1 + ackLittle, ack, 0, 0, false}, {2 + ackLittle, ack, 0, 0, false}, {2 + ackLittle, ack, 0, 0, true}},
		"with blocks (SACK)":      {{1, first, 0, 0, false}, {2, ack, 24, 0, false}},
		"with an end":             {{1, first, 0, 0, false}, {2, ack | header.TCPFlagFin, 0, 0, false}},
		"of an unknown one":       {{2, ack, 0, 0, false}, {3, ack, 0, 0, true}},
		"around the end":          {{0xffff_fff0, first, 0, 0, false}, {16, ack, 0, 0, true}},
	} {
		a := newAcks()
		for i, f := range frames {
			if got := a.keep(outgoing(1, f.ack, f.flags, f.options, f.data), time.Now()); got != f.waits {
				t.Errorf("%s: frame %d waits: %v", name, i+1, got)
			}
		}
		want := 0
		if frames[len(frames)-1].waits {
			want = 1
		}
		if len(a.held) != want {
			t.Errorf("%s: %d wait at the end, want %d", name, len(a.held), want)
		}
	}
}

// Who waits goes out in time, however much comes after it, the oldest first and with others.
func TestAcknowledgementsAreDue(t *testing.T) {
	a, now := newAcks(), time.Unix(1e9, 0)
	for port := range uint16(3) {
		a.keep(outgoing(port, 1, header.TCPFlagAck|header.TCPFlagSyn, 0, 0), now)
	}
	for port := range uint16(3) {
		a.keep(outgoing(port, 2, header.TCPFlagAck, 0, 0), now.Add(time.Duration(port)*time.Millisecond))
	}
	a.keep(outgoing(0, 3, header.TCPFlagAck, 0, 0), now.Add(2*time.Millisecond)) // more of the same
	if next, some := a.next(); !some || !next.Equal(now.Add(ackWait)) {
		t.Errorf("due at %s, %v", next.Sub(now), some)
	}
	if out := a.due(now.Add(ackWait-1), false); len(out) != 0 {
		t.Errorf("%d are early", len(out))
	}
	ports := func(at time.Duration, others bool) (out []uint16) {
		for _, p := range a.due(now.Add(at), others) {
			tcp := header.TCP(p.TransportHeader().Slice())
			out = append(out, tcp.DestinationPort(), uint16(tcp.AckNumber()))
		}
		return out
	}
	if got := ports(ackWait, false); !slices.Equal(got, []uint16{0, 3}) {
		t.Errorf("due: %v", got)
	}
	if got := ports(ackWait, true); !slices.Equal(got, []uint16{1, 2}) {
		t.Errorf("due with others: %v", got)
	}
	if got := ports(time.Second, false); !slices.Equal(got, []uint16{2, 2}) {
		t.Errorf("due at the end: %v", got)
	}
	if _, some := a.next(); some {
		t.Error("something waits for ever")
	}
	for port := range maxFlows + 10 {
		a.tell(tcpFlow{to: uint16(port)}, 1)
	}
	if len(a.told) > maxFlows {
		t.Errorf("%d connections are remembered", len(a.told))
	}
}

// A page costs a guest the server's frames, and none for what they tell by the way.
func TestFramesOfAPage(t *testing.T) {
	page := func() []int {
		s := dialled(t, world(map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) {
			io.ReadFull(c, make([]byte, 100))
			c.Write(make([]byte, 1000))
		}}))
		s.send(0x18, make([]byte, 100))
		s.download(t)
		s.read(t) // its end is acknowledged though nothing else comes
		return s.sizes
	}
	var got []int
	for range 50 { // where the machine is busy an answer may be late
		if got = page(); slices.Equal(got, []int{1000, 0, 0}) {
			return
		}
	}
	t.Errorf("segments of %v bytes", got)
}
