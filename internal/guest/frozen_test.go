package guest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/wire"
)

// frozen is a channel whose peer reads nothing while thaw is open.
type frozen struct {
	net.Conn
	mu   sync.Mutex
	thaw chan struct{}
}

func (f *frozen) freeze() (thaw func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.thaw = gate
	return func() { close(gate) }
}

func (f *frozen) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.mu.Lock()
	gate := f.thaw
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return n, err
}

// TestPauseOfDays freezes the guest for two days with 4 MiB on their way to it,
// and loses nothing.
func TestPauseOfDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, size = 16, 256 << 10
		host, pipe := net.Pipe()
		peer := &frozen{Conn: pipe}
		got := make(chan []byte, streams)
		go serveScript(peer, wire.Reply{}, func(s *yamux.Stream) {
			all, _ := io.ReadAll(s)
			got <- all
		})
		l, err := Open(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var conns []net.Conn
		for range streams {
			c, err := l.Dial(t.Context(), 80, 0)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		thaw := peer.freeze()
		sent := bytes.Repeat([]byte("aegis123"), size/8)
		for _, c := range conns {
			go func() {
				if n, err := c.Write(sent); n != size || err != nil {
					t.Errorf("wrote %d bytes: %v", n, err)
				}
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
		}
		time.Sleep(48 * time.Hour)
		thaw()
		for range streams {
			if all := <-got; !bytes.Equal(all, sent) {
				t.Errorf("%d bytes of %d arrived", len(all), size)
			}
		}
		if err := l.Err(); err != nil {
			t.Error(err)
		}
	})
}
