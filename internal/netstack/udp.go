package netstack

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// datagram begins a UDP flow: what one port of the guest sends to one address. It is
// called on the way of all packets and must not wait.
func (n *network) datagram(r *udp.ForwarderRequest) bool {
	to := target(r.ID())
	if to.Addr().IsMulticast() || !n.udp.take() {
		n.cfg.Counters.Dropped.Add(1)
		return true // handled, by being dropped
	}
	var queue waiter.Queue
	endpoint, err := r.CreateEndpoint(&queue)
	if err != nil {
		n.udp.give()
		return true
	}
	guest := gonet.NewUDPConn(&queue, endpoint)
	go func() {
		defer n.udp.give()
		defer guest.Close()
		host, err := n.dial(UDP, to)
		if err != nil {
			n.refuse(guest)
			return
		}
		defer host.Close()
		if len(n.udp) > freeFlows {
			boundFlow(host)
		}
		n.exchange(guestSide(n.ctx, guest, endpoint, &queue), hostSide(host))
	}()
	return true
}

// freeFlows is how many flows of a guest may have what the host gives any program to
// receive in.
const freeFlows = 64

// boundFlow has the host's kernel keep little for a flow; else five hundred that the guest
// does not read fill what the whole host has for UDP. One datagram of any size fits.
func boundFlow(host net.Conn) {
	if c, ok := host.(*net.UDPConn); ok {
		c.SetReadBuffer(udpReceive)
	}
}

// refusal is how long a refused flow swallows what the guest goes on sending, so
// that it is refused once and not with each datagram.
const refusal = 2 * time.Second

func (n *network) refuse(guest net.Conn) {
	stop := context.AfterFunc(n.ctx, func() { guest.Close() })
	defer stop()
	guest.SetReadDeadline(time.Now().Add(refusal))
	buf := make([]byte, 1)
	for {
		if _, err := guest.Read(buf); err != nil {
			return
		}
	}
}

// exchange copies datagrams both ways until the flow is idle.
func (n *network) exchange(guest, host side) {
	stop := context.AfterFunc(n.ctx, func() { guest.Close(); host.Close() })
	defer stop()
	var last atomic.Int64 // of a datagram, either way
	var answered atomic.Bool
	last.Store(time.Now().UnixNano())
	idle := func() time.Duration {
		limit := udpFirst
		if answered.Load() {
			limit = udpIdle
		}
		return limit - time.Since(time.Unix(0, last.Load()))
	}
	go func() {
		defer guest.Close()
		datagrams(guest, host, idle, func(size int) bool {
			last.Store(time.Now().UnixNano())
			answered.Store(true)
			n.cfg.Counters.Received.Add(uint64(size))
			return n.link.NumQueued() < maxDatagrams
		})
	}()
	defer host.Close()
	datagrams(host, guest, idle, func(size int) bool {
		last.Store(time.Now().UnixNano())
		n.cfg.Counters.Sent.Add(uint64(size))
		return true
	})
}

// datagrams copies one direction until an error, or until idle says that nothing is
// left of the time. Those that pass refuses are lost, as is what can't be written.
func datagrams(to, from side, idle func() time.Duration, pass func(size int) bool) {
	for {
		err := from.ready(time.Now().Add(max(idle(), 0) + time.Millisecond))
		if err == nil {
			err = datagram(to, from, pass)
		}
		if isTimeout(err) && idle() > 0 {
			continue
		}
		if err != nil {
			return
		}
	}
}

// datagram copies one.
func datagram(to, from side, pass func(int) bool) error {
	buf := packets.Get().(*[]byte)
	defer packets.Put(buf)
	n, err := from.Read(*buf)
	if err != nil || !pass(n) {
		return err
	}
	if _, err := to.Write((*buf)[:n]); errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
