package netstack

import (
	"net"
	"sync"
)

// fullSegment is the most that a connection carries in one frame, in bytes: what headers of
// IPv6 and of TCP with time stamps leave. What is copied and buffered are whole parts of
// it, since for the guest a small frame costs nearly what a full one does.
const fullSegment = MTU - 40 - 32

// room is the buffers of one connection, in bytes: two of the stack's and two that are copied
// through. The stack announces half of the one for what the guest sends.
type room struct {
	stack int
	copy  int
	host  int // of the host's kernel, each way; 0: they grow as any program's
}

// The kinds of rooms.
var (
	largeRoom  = room{stack: 8 * fullSegment, copy: fullSegment}
	middleRoom = room{stack: fullSegment, copy: fullSegment / 2, host: 256 << 10}
	smallRoom  = room{stack: 4 << 10, copy: 2 << 10, host: 4 << 10}
)

// How many connections may have one of the two larger ones.
const (
	largeRooms  = 8
	middleRooms = 100
)

// bound keeps what the host's kernel buffers for a connection in proportion to its room;
// else a thousand that nobody reads fill what the whole host has for TCP.
func (r room) bound(host net.Conn) {
	c, ok := host.(*net.TCPConn)
	if !ok || r.host == 0 {
		return
	}
	c.SetReadBuffer(r.host)
	c.SetWriteBuffer(r.host)
}

// rooms are what TCP connections get: the first ones are fast, a hundred side by side
// still fill their frames by half, and a thousand are possible.
type rooms struct {
	mu            sync.Mutex
	large, middle int // that are left
}

func newRooms() *rooms { return &rooms{large: largeRooms, middle: middleRooms} }

// take never fails: the number of connections is bounded elsewhere.
func (r *rooms) take() room {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.large > 0:
		r.large--
		return largeRoom
	case r.middle > 0:
		r.middle--
		return middleRoom
	}
	return smallRoom
}

func (r *rooms) give(back room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch back {
	case largeRoom:
		r.large++
	case middleRoom:
		r.middle++
	}
}
