package netstack

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Ports from which the host comes to ports of the guest's loopback. The guest sends
// what is for 127.0.0.1 and these, from a port that is exposed, over its link; they are
// above the ones that Linux gives out by itself.
const (
	FirstIngress = 64000
	LastIngress  = 65534 // Linux has no rules for the last port
)

// ingressWait bounds how long the guest's kernel may take to answer: it needs no
// process for that. A guest that was not answered at all may drop what comes in.
const ingressWait = time.Second

// Arrival is a stream of the host's that wants to a TCP port of the guest's loopback.
// The application sees it come from 127.0.0.1.
type Arrival struct {
	Conn     net.Conn // has CloseWrite
	Port     uint16
	Greeting []byte      // goes to Conn before anything of the application's
	Done     func(error) // called once: without an error Conn has an application; with one it was left as it was, but closed here
}

// arrivals takes them until Serve ends.
func (n *network) arrivals(from <-chan Arrival) {
	for {
		select {
		case a := <-from:
			go n.arrive(a)
		case <-n.ctx.Done():
			return
		}
	}
}

// arrive carries one stream.
func (n *network) arrive(a Arrival) {
	defer a.Conn.Close()
	if !n.ingress.take() {
		a.Done(fmt.Errorf("%d streams are open", maxIngress))
		return
	}
	defer n.ingress.give()
	room := n.rooms.take()
	defer n.rooms.give(room)
	ctx, cancel := context.WithTimeout(n.ctx, ingressWait)
	defer cancel()
	var queue waiter.Queue
	endpoint, err := n.knock(ctx, &queue, a.Port, room)
	if err == nil {
		_, err = a.Conn.Write(a.Greeting)
	}
	a.Done(err)
	if endpoint == nil {
		return
	}
	guest := gonet.NewTCPConn(&queue, endpoint)
	if err != nil {
		guest.Close()
	} else {
		n.carry(guest, a.Conn, room.copy)
	}
	n.gone(endpoint, &queue)
}

// knock connects to a port of the guest's loopback, from the next port of ours.
func (n *network) knock(ctx context.Context, queue *waiter.Queue, port uint16, room room) (tcpip.Endpoint, error) {
	endpoint, failed := n.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, queue)
	if failed != nil {
		return nil, fmt.Errorf("%s", failed)
	}
	n.furnish(endpoint, room)
	loopback := tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	failed = endpoint.Bind(tcpip.FullAddress{NIC: nic, Addr: loopback, Port: n.nextIngress()})
	if failed == nil {
		failed = endpoint.Connect(tcpip.FullAddress{NIC: nic, Addr: loopback, Port: port})
	}
	if _, started := failed.(*tcpip.ErrConnectStarted); started {
		select {
		case <-connected:
			failed = endpoint.LastError()
		case <-ctx.Done():
			endpoint.Abort()
			return nil, ctx.Err()
		}
	}
	if failed != nil {
		endpoint.Close()
		return nil, fmt.Errorf("%s", failed)
	}
	return endpoint, nil
}

// furnish sets what every TCP connection has.
func (n *network) furnish(endpoint tcpip.Endpoint, room room) {
	endpoint.SocketOptions().SetSendBufferSize(int64(room.stack), true)
	endpoint.SocketOptions().SetReceiveBufferSize(int64(room.stack), true)
	endpoint.SocketOptions().SetDelayOption(false)
}

// nextIngress is a port that was not used for the longest time.
func (n *network) nextIngress() uint16 {
	const ports = LastIngress - FirstIngress + 1
	return FirstIngress + uint16(n.lastIngress.Add(1)%ports)
}

// carry copies both ways until both have ended. A direction that fails does not
// cut the other short: an answer may come from an application that no longer reads.
func (n *network) carry(guest *gonet.TCPConn, host net.Conn, size int) {
	stop := context.AfterFunc(n.ctx, func() { guest.Close(); host.Close() })
	defer stop()
	defer guest.Close()
	var both sync.WaitGroup
	both.Go(func() {
		io.CopyBuffer(counted{guest, &n.cfg.Counters.Asked}, struct{ io.Reader }{host}, make([]byte, size))
		guest.CloseWrite()
	})
	if _, err := io.CopyBuffer(counted{host, &n.cfg.Counters.Served}, struct{ io.Reader }{guest}, make([]byte, size)); err != nil {
		guest.SetReadDeadline(time.Now().Add(linger))
		io.Copy(io.Discard, guest)
	}
	if half, ok := host.(halfCloser); ok {
		half.CloseWrite()
	}
	both.Wait()
}

// counted is a writer that counts what it takes.
type counted struct {
	io.Writer
	count *atomic.Uint64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.count.Add(uint64(n))
	return n, err
}

// linger is how long a stream whose host side has gone is still read, so that the
// last bytes that were written to it arrive: a reset would overtake them.
const linger = 2 * time.Second

// ownLoopback makes the guest's loopback a neighbour at the end of the link.
func (n *network) ownLoopback() error {
	loopback := tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := n.stack.AddStaticNeighbor(nic, header.IPv4ProtocolNumber, loopback, tcpip.LinkAddress(n.cfg.MAC)); err != nil {
		return fmt.Errorf("%s", err)
	}
	return nil
}
