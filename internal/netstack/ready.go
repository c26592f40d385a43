package netstack

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// packets are buffers for datagrams of any size. A flow has one while it carries
// a datagram, and none while it waits: there are many flows.
var packets = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// side is one end of a UDP flow. ready waits for a datagram, and for a closed
// connection, until a moment: then it returns a timeout.
type side struct {
	net.Conn
	ready func(until time.Time) error
}

// guestSide waits for the stack's endpoint.
func guestSide(ctx context.Context, conn net.Conn, ep tcpip.Endpoint, queue *waiter.Queue) side {
	return side{conn, func(until time.Time) error {
		entry, some := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
		queue.EventRegister(&entry)
		defer queue.EventUnregister(&entry)
		if ep.Readiness(waiter.ReadableEvents) != 0 {
			return nil
		}
		late := time.NewTimer(time.Until(until))
		defer late.Stop()
		select {
		case <-some:
			return nil
		case <-late.C:
			return os.ErrDeadlineExceeded
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// hostSide waits for a socket.
func hostSide(conn net.Conn) side {
	return side{conn, func(until time.Time) error {
		conn.SetReadDeadline(until)
		sc, ok := conn.(syscall.Conn)
		if !ok {
			return nil // its Read waits
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			return err
		}
		var failed error
		err = raw.Read(func(fd uintptr) bool {
			// Not recvfrom, which the helper's filter has no need of.
			_, _, _, _, failed = unix.Recvmsg(int(fd), make([]byte, 1), nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return failed != unix.EAGAIN && failed != unix.EINTR
		})
		if err == nil {
			err = failed
		}
		return err
	}}
}
