package qemu

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// channels holds the host's ends of the ports until they are taken. They are
// connected before the guest runs, so its read never sees a closed host end.
type channels struct {
	mu    sync.Mutex
	conns map[string]*net.UnixConn // nil: taken
}

func newChannels() *channels { return &channels{conns: map[string]*net.UnixConn{}} }

// add makes a port's stream and returns the monitor's end.
func (c *channels) add(port vmm.Port) (*os.File, error) {
	conn, end, err := connPair(port.Name)
	if err != nil {
		return nil, err
	}
	c.conns[port.Name] = conn
	return end, nil
}

// take gives a port's stream away, once.
func (c *channels) take(port vmm.Port) (*net.UnixConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn, ok := c.conns[port.Name]
	switch {
	case !ok:
		return nil, fmt.Errorf("take port %q: the VM was booted without it", port.Name)
	case conn == nil:
		return nil, fmt.Errorf("take port %q: it was taken before", port.Name)
	}
	c.conns[port.Name] = nil
	return conn, nil
}

// close closes what nobody took.
func (c *channels) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, conn := range c.conns {
		if conn != nil {
			conn.Close()
			c.conns[name] = nil
		}
	}
}

// connPair is pair, with our end as a connection.
func connPair(name string) (*net.UnixConn, *os.File, error) {
	near, far, err := pair(name)
	if err != nil {
		return nil, nil, err
	}
	defer near.Close()
	conn, err := net.FileConn(near) // duplicates the descriptor
	if err != nil {
		far.Close()
		return nil, nil, fmt.Errorf("use the socket pair for %q: %w", name, err)
	}
	return conn.(*net.UnixConn), far, nil // a socketpair of AF_UNIX is nothing else
}

// pair makes a connected pair of stream sockets. The first is non-blocking, ours;
// the second is the monitor's, which sets its mode itself.
func pair(name string) (*os.File, *os.File, error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair for %q: %w", name, err)
	}
	unix.SetNonblock(fds[0], true) // a fresh descriptor: can't fail
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}
