package monitor

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"aegis/internal/vmm"
)

// Channels holds the host's ends of a VM's ports until they are taken, for monitors that
// get the other ends as descriptors. They are connected before the guest runs, so its
// read never sees a closed host end.
type Channels struct {
	mu    sync.Mutex
	conns map[string]*net.UnixConn // nil: taken
}

// NewChannels has no port yet.
func NewChannels() *Channels { return &Channels{conns: map[string]*net.UnixConn{}} }

// Add makes a port's stream and returns the monitor's end.
func (c *Channels) Add(port vmm.Port) (*os.File, error) {
	conn, end, err := ConnPair(port.Name)
	if err != nil {
		return nil, err
	}
	c.conns[port.Name] = conn
	return end, nil
}

// Take gives a port's stream away, once.
func (c *Channels) Take(port vmm.Port) (*net.UnixConn, error) {
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

// Close closes what nobody took.
func (c *Channels) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, conn := range c.conns {
		if conn != nil {
			conn.Close()
			c.conns[name] = nil
		}
	}
}

// Streams are the channels that a VM gets: its ports, and its device's frames.
func Streams(cfg vmm.Config) []vmm.Port {
	if cfg.NIC == nil {
		return cfg.Ports
	}
	return append(slices.Clone(cfg.Ports), vmm.PortNet)
}

// ConnPair is Pair, with our end as a connection.
func ConnPair(name string) (*net.UnixConn, *os.File, error) {
	near, far, err := Pair(name)
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

// Pair makes a connected pair of stream sockets. The first is non-blocking, ours;
// the second is the monitor's, which sets its mode itself.
func Pair(name string) (*os.File, *os.File, error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair for %q: %w", name, err)
	}
	syscall.SetNonblock(fds[0], true) // a fresh descriptor: can't fail
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}
