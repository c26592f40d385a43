package router

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// farewell is how long close waits for goroutines whose connections have ended.
const farewell = 5 * time.Second

// visitors are the open client connections of a claim or of the front door: it
// bounds their number and ends them all.
type visitors struct {
	slots chan struct{}
	done  chan struct{} // closed by close

	mu      sync.Mutex
	open    map[*visitor]struct{}
	working sync.WaitGroup // handlers; Add only under mu and before done
}

func newVisitors(limit int) *visitors {
	return &visitors{
		slots: make(chan struct{}, limit),
		done:  make(chan struct{}),
		open:  make(map[*visitor]struct{}),
	}
}

// visitor is one client's connection, which gives its slot back when closed.
type visitor struct {
	*net.TCPConn
	of   *visitors
	once sync.Once
}

// Close closes the connection and frees its slot.
func (v *visitor) Close() error {
	err := v.TCPConn.Close()
	v.once.Do(func() {
		v.of.mu.Lock()
		delete(v.of.open, v)
		v.of.mu.Unlock()
		<-v.of.slots
	})
	return err
}

// reset closes the connection so that the client can't take it for an orderly end.
func (v *visitor) reset() {
	v.SetLinger(0)
	v.Close()
}

// gate is a listener whose connections are visitors. At the limit it leaves
// clients in the kernel's queue. While it waits for one it holds that one's slot.
type gate struct {
	net.Listener
	of *visitors
}

func (v *visitors) admit(l net.Listener) *gate { return &gate{l, v} }

// Accept fails only when the listener is closed. Whatever else goes wrong, such
// as running out of descriptors, is tried again after a pause that grows to 1 s.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.of.slots <- struct{}{}:
	case <-g.of.done:
		return nil, net.ErrClosed
	}
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := g.Listener.Accept()
		if err == nil {
			return g.of.welcome(conn.(*net.TCPConn))
		}
		if errors.Is(err, net.ErrClosed) || !g.of.sleep(wait) {
			<-g.of.slots
			return nil, err
		}
	}
}

// welcome counts a connection that has a slot.
func (v *visitors) welcome(conn *net.TCPConn) (net.Conn, error) {
	c := &visitor{TCPConn: conn, of: v}
	v.mu.Lock()
	closed := v.isClosed()
	if !closed {
		v.open[c] = struct{}{}
	}
	v.mu.Unlock()
	if closed {
		c.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

func (v *visitors) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-v.done:
		return false
	}
}

func (v *visitors) isClosed() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// work runs f, which close waits for, unless close has been called; it reports
// whether f ran.
func (v *visitors) work(f func()) bool {
	v.mu.Lock()
	if v.isClosed() {
		v.mu.Unlock()
		return false
	}
	v.working.Add(1)
	v.mu.Unlock()
	defer v.working.Done()
	f()
	return true
}

// handler makes close wait for h's requests.
func (v *visitors) handler(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !v.work(func() { h(w, req) }) {
			panic(http.ErrAbortHandler) // or an empty 200 would go out
		}
	})
}

// close ends every connection and waits for the work, for farewell at most; it
// reports whether all of it ended.
func (v *visitors) close() bool {
	v.mu.Lock()
	if !v.isClosed() {
		close(v.done)
	}
	open := make([]*visitor, 0, len(v.open))
	for c := range v.open {
		open = append(open, c)
	}
	v.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	ended := make(chan struct{})
	go func() {
		v.working.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(farewell):
		return false
	}
}
