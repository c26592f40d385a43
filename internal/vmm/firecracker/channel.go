package firecracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"aegis/internal/vmm"
)

// dialPoll bounds how often a port is tried that nobody listens on yet.
const dialPoll = 20 * time.Millisecond

// errNobody is the end of a connection that was not opened: nobody listens yet.
var errNobody = errors.New("nobody listens in the guest")

// Channel implements vmm.VM. It waits until the guest listens.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	conn, err := m.channel(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return conn, nil
}

func (m *machine) channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.Ended(); err != nil {
		return nil, err
	}
	if err := m.take(port); err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, dialPoll) {
		conn, err := m.open(ctx, port)
		if err == nil {
			return conn, nil
		}
		select {
		case <-m.Process.Exited:
			err = vmm.ErrEnded
		case <-ctx.Done():
			err = errors.Join(ctx.Err(), err)
		case <-time.After(wait):
			continue
		}
		m.putBack(port)
		return nil, err
	}
}

// take marks a port as taken, once.
func (m *machine) take(port vmm.Port) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken, ok := m.ports[port]
	switch {
	case !ok:
		return errors.New("the VM was booted without it")
	case taken:
		return errors.New("it was taken before")
	}
	m.ports[port] = true
	return nil
}

func (m *machine) putBack(port vmm.Port) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports[port] = false
}

// open tries once. The end of ctx, or of the monitor, ends it.
func (m *machine) open(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	conn, err := m.dial(vsockSocket)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = greet(conn, port.Number)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// maxGreeting bounds the line that answers CONNECT: "OK ", a number of 32 bits, "\n".
const maxGreeting = 16

// greet asks the monitor to connect to a port in the guest, and reads its answer, one
// byte at a time: what follows is the guest's. See "Host-Initiated Connections" in
// Firecracker's description of the device.
func greet(conn net.Conn, number uint32) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %d\n", number); err != nil {
		return errNobody
	}
	var line strings.Builder
	for b := make([]byte, 1); line.Len() < maxGreeting; {
		if n, err := conn.Read(b); n == 0 || err != nil {
			return errNobody
		}
		if b[0] == '\n' {
			break
		}
		line.Write(b)
	}
	if !strings.HasPrefix(line.String(), "OK ") {
		return fmt.Errorf("the monitor answers %q", line.String())
	}
	return nil
}
