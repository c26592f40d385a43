package guest

import (
	"errors"
	"sync"

	"github.com/libp2p/go-yamux/v5"
)

// Bounds on what a guest can make one link buffer: each stream has a window of
// 256 KiB, and windows grow only while all of them fit into muxMemory bytes.
const (
	maxStreams = 768
	muxMemory  = 192 << 20
)

var errBudget = errors.New("too many operations at once on this guest")

// budget is the receive memory that all streams of one link share.
type budget struct {
	mu   sync.Mutex
	left int
}

func newBudget(size int) *budget { return &budget{left: size} }

// span is a stream's share, made by the mux for each.
func (b *budget) span() (yamux.MemoryManager, error) { return &share{of: b}, nil }

type share struct {
	of    *budget
	taken int // under of.mu
}

// firstWindow is the priority at which the mux asks for a new stream's window.
const firstWindow = 255

// ReserveMemory takes size bytes or fails, and the mux then leaves a window as
// it is. A first window never fails: go-yamux 5.1 would lose one of its slots for
// opening, so Link counts streams instead.
func (s *share) ReserveMemory(size int, prio uint8) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if size > s.of.left && prio != firstWindow {
		return errBudget
	}
	s.of.left -= size
	s.taken += size
	return nil
}

// ReleaseMemory gives size bytes back.
func (s *share) ReleaseMemory(size int) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	size = min(size, s.taken)
	s.of.left += size
	s.taken -= size
}

// Done gives everything back. The mux may call it twice.
func (s *share) Done() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.left += s.taken
	s.taken = 0
}
