package netstack

import (
	"context"
	"io"
	"net"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// batch is how many frames go out in one system call.
const batch = 32

// sender writes the stack's frames to the guest, but for acknowledgements that a later
// frame carries as well.
type sender struct {
	link *channel.Endpoint
	mac  net.HardwareAddr
	acks acks
	out  []*stack.PacketBuffer
}

func newSender(link *channel.Endpoint, mac net.HardwareAddr) *sender {
	return &sender{link: link, mac: mac, acks: newAcks()}
}

// run ends when ctx does, or the writer. A guest that does not read holds this
// goroutine up and nothing else: the queue before it has an end.
func (s *sender) run(ctx context.Context, w io.Writer) {
	defer s.drop()
	for ctx.Err() == nil {
		if pkt := s.wait(ctx); pkt != nil {
			s.take(pkt)
		}
		for len(s.out) < batch {
			pkt := s.link.Read()
			if pkt == nil {
				break
			}
			s.take(pkt)
		}
		s.out = append(s.out, s.acks.due(time.Now(), len(s.out) > 0)...)
		if len(s.out) > 0 && s.write(w) != nil {
			return
		}
	}
}

// wait gives the next frame, or nil when there is none and something that waits is due.
func (s *sender) wait(ctx context.Context) *stack.PacketBuffer {
	until, some := s.acks.next()
	if !some {
		return s.link.ReadContext(ctx)
	}
	if pkt := s.link.Read(); pkt != nil {
		return pkt
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return s.link.ReadContext(ctx)
}

func (s *sender) take(pkt *stack.PacketBuffer) {
	if !s.acks.keep(pkt, time.Now()) {
		s.out = append(s.out, pkt)
	}
}

// write writes what is to go out, and forgets it.
func (s *sender) write(w io.Writer) error {
	var bufs net.Buffers
	for _, p := range s.out {
		copy(p.LinkHeader().Slice(), s.mac) // the stack takes the guest's 127.0.0.1 for its own
		bufs = append(bufs, head(p.Size()))
		bufs = append(bufs, p.AsSlices()...)
	}
	_, err := bufs.WriteTo(w)
	s.drop()
	return err
}

func (s *sender) drop() {
	for _, p := range s.out {
		p.DecRef()
	}
	clear(s.out)
	s.out = s.out[:0]
}
