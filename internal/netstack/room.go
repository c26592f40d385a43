package netstack

import (
	"net"
	"sync"
)

// rooms is the memory for the buffers of TCP connections, of which each new
// connection gets a part of what is left: the first ones are fast, and a thousand are
// possible. Beyond it each gets smallRoom, and what is left is less than nothing.
type rooms struct {
	mu   sync.Mutex
	left int // bytes
}

// room is one connection's: the bytes of each of its four buffers, two of the
// stack's and two that are copied through.
type room struct{ stack, copy int }

func (r room) total() int { return 2 * (r.stack + r.copy) }

// bound keeps what the host's kernel buffers for a connection in proportion to a small
// room; else a thousand that nobody reads fill what the whole host has for TCP. The
// buffers of large rooms grow as any program's.
func (r room) bound(host net.Conn) {
	c, ok := host.(*net.TCPConn)
	if !ok || r.copy == largeCopy {
		return
	}
	c.SetReadBuffer(r.stack)
	c.SetWriteBuffer(r.stack)
}

func newRooms() *rooms { return &rooms{left: allRooms} }

// take never fails: the number of connections is bounded elsewhere.
func (r *rooms) take() room {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := min(max(r.left/roomShare, smallRoom), largeRoom)
	given := room{stack: size, copy: min(size, largeCopy)}
	r.left -= given.total()
	return given
}

func (r *rooms) give(back room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += back.total()
}
