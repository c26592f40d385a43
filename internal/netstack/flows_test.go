package netstack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// kept dials one address of the test's, and keeps what it dialled.
type kept struct {
	peer
	mu    sync.Mutex
	conns []net.Conn
}

func (k *kept) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	c, err := k.peer.Dial(ctx, network, to)
	if err == nil {
		k.mu.Lock()
		k.conns = append(k.conns, c)
		k.mu.Unlock()
	}
	return c, err
}

// received is how much the host keeps for a socket, in bytes.
func received(t *testing.T, c net.Conn) (size int) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) })
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// What the host keeps for a guest's flows is bounded, and the first ones have what any
// program has; each takes the largest datagram.
func TestFlowsAreBounded(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	answer := make([]byte, 60_000)
	go func() {
		for {
			_, from, err := packets.ReadFrom(make([]byte, 100))
			if err != nil {
				return
			}
			packets.WriteTo(answer, from)
		}
	}()
	k := &kept{peer: peer{udp: packets.LocalAddr().String()}}
	m := bootWith(t, k)
	for i := range freeFlows + 8 {
		c := m.dialUDP("1.2.3.4:123")
		c.Write([]byte("x"))
		if n, err := c.Read(make([]byte, 1<<16)); n != len(answer) || err != nil {
			t.Fatalf("flow %d: %d bytes, %v", i+1, n, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	first, last := received(t, k.conns[0]), received(t, k.conns[len(k.conns)-1])
	if last > 2*udpReceive || first <= last {
		t.Errorf("the first flow has %d bytes, the last %d", first, last)
	}
}
