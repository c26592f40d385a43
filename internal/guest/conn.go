package guest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// linger is how long a closed connection goes on to be read, so that the last
// bytes written to it arrive; a reset would overtake them in the guest.
const linger = 2 * time.Second

// Conn is a dialled port, each of whose directions ends on its own.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// conn is a dialled port. The mux tells the guest nothing when only reading
// ends, and the guest would then wait for room in the window for ever.
type conn struct {
	*yamux.Stream
	ended atomic.Bool // the guest has closed or reset its direction
	once  sync.Once
}

// Read notices the guest's end of stream.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err == io.EOF {
		c.ended.Store(true)
	}
	return n, err
}

// Close lets what was written arrive, discards what still comes, and resets the
// stream if the guest goes on writing. It does not wait for that.
func (c *conn) Close() error {
	c.once.Do(func() {
		if c.CloseWrite() != nil || c.ended.Load() {
			c.Stream.Close()
			return
		}
		go c.discard()
	})
	return nil
}

func (c *conn) discard() {
	c.SetReadDeadline(time.Now().Add(linger))
	if _, err := io.Copy(io.Discard, c.Stream); err != nil {
		c.Reset()
	}
}
