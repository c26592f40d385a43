package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A paused guest acknowledges nothing for hours and must find its connections when
// it goes on, soon. Retries of 5 s for about a week outlast every pause.
const (
	tcpRetry   = 5 * time.Second
	tcpRetries = 100_000
)

// target is what the guest wanted to reach.
func target(id stack.TransportEndpointID) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	return netip.AddrPortFrom(addr, id.LocalPort)
}

// connect serves one TCP connection of the guest's, from its SYN on: first the other
// half is made, then the guest gets its answer.
func (n *network) connect(r *tcp.ForwarderRequest) {
	if !n.tcp.take() {
		n.cfg.Counters.Dropped.Add(1)
		r.Complete(true)
		return
	}
	defer n.tcp.give()
	host, err := n.dial(TCP, target(r.ID()))
	if err != nil {
		r.Complete(true)
		return
	}
	defer host.Close()
	var queue waiter.Queue
	endpoint, refused := r.CreateEndpoint(&queue)
	r.Complete(refused != nil)
	if refused != nil {
		return
	}
	room := n.rooms.take()
	defer n.rooms.give(room)
	room.bound(host)
	n.furnish(endpoint, room)
	n.join(gonet.NewTCPConn(&queue, endpoint), host, room.copy)
	n.gone(endpoint, &queue)
}

// gone waits until the stack has no more of a connection: what the guest does not
// acknowledge is kept for as long as a pause may take, and counts.
func (n *network) gone(endpoint tcpip.Endpoint, queue *waiter.Queue) {
	entry, changed := waiter.NewChannelEntry(waiter.EventHUp | waiter.EventErr)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		switch tcp.EndpointState(endpoint.State()) {
		case tcp.StateClose, tcp.StateError:
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// dial never reaches the gateway: what it offers, the stack itself serves.
func (n *network) dial(network string, to netip.AddrPort) (net.Conn, error) {
	if a := to.Addr(); a == Gateway4 || a == Gateway6 || Guest4.Contains(a) || Guest6.Contains(a) {
		return nil, errors.New("nothing is there")
	}
	return n.cfg.Dialer.Dial(n.ctx, network, to)
}

// halfCloser is a connection whose directions end apart.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// join copies both ways, size bytes at a time, until both directions have ended, or
// Serve has.
func (n *network) join(guest halfCloser, host net.Conn, size int) {
	stop := context.AfterFunc(n.ctx, func() { guest.Close(); host.Close() })
	defer stop()
	defer host.Close()
	defer guest.Close()
	var both sync.WaitGroup
	both.Go(func() { flow(host, guest, make([]byte, size), &n.cfg.Counters.Sent) })
	flow(guest, host, make([]byte, size), &n.cfg.Counters.Received)
	both.Wait()
}

// flow copies one direction. After a failure the connection is useless, and both
// ends go; after an end, only this direction.
func flow(to, from net.Conn, buf []byte, count *atomic.Uint64) {
	for {
		n, err := from.Read(buf)
		if n > 0 {
			count.Add(uint64(n))
			if _, failed := to.Write(buf[:n]); failed != nil {
				to.Close()
				from.Close()
				return
			}
		}
		if err == nil {
			continue
		}
		half, ok := to.(halfCloser)
		if errors.Is(err, io.EOF) && ok {
			half.CloseWrite()
			return
		}
		to.Close()
		from.Close()
		return
	}
}
