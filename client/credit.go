package client

import (
	"context"
	"sync"

	"aegis/internal/wire"
)

// credit is how many bytes of stdin may still be sent.
type credit struct {
	mu   sync.Mutex
	left int
	more chan struct{} // holds one token after a grant
}

func newCredit(n int) *credit { return &credit{left: n, more: make(chan struct{}, 1)} }

// parse adds what a Credit frame grants. There is never more than the initial
// credit: a guest can't make the client send without bound.
func (c *credit) parse(payload []byte) error {
	n, err := wire.ParseCredit(payload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.left = min(c.left+n, wire.InitialCredit)
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return nil
}

// take waits for some credit and takes at most want of it. It is for one
// goroutine. It returns 0 when ctx has ended.
func (c *credit) take(ctx context.Context, want int) int {
	for {
		c.mu.Lock()
		n := min(c.left, want)
		c.left -= n
		c.mu.Unlock()
		if n > 0 {
			return n
		}
		select {
		case <-ctx.Done():
			return 0
		case <-c.more:
		}
	}
}
