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
		n.exchange(guest, host)
	}()
	return true
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
func (n *network) exchange(guest, host net.Conn) {
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
		datagrams(guest, host, &n.cfg.Counters.Received, &last, idle, &answered)
	}()
	defer host.Close()
	datagrams(host, guest, &n.cfg.Counters.Sent, &last, idle, nil)
}

// datagrams copies one direction until an error, or until idle says that nothing
// is left of the time.
func datagrams(to, from net.Conn, count *atomic.Uint64, last *atomic.Int64, idle func() time.Duration, seen *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		from.SetReadDeadline(time.Now().Add(max(idle(), 0) + time.Millisecond))
		n, err := from.Read(buf)
		switch {
		case isTimeout(err):
			if idle() <= 0 {
				return
			}
			continue
		case err != nil:
			return
		}
		last.Store(time.Now().UnixNano())
		if seen != nil {
			seen.Store(true)
		}
		count.Add(uint64(n))
		if _, err := to.Write(buf[:n]); errors.Is(err, net.ErrClosed) {
			return // any other failure is a lost datagram
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
