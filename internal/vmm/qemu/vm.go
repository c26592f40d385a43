package qemu

import (
	"context"
	"fmt"
	"net"
	"sync"

	"aegis/internal/vmm"
)

// machine is one running QEMU. Lock order: pausing, then mu.
type machine struct {
	proc     *process
	channels *channels
	console  *stream
	stderr   *stream
	done     chan struct{}

	pausing sync.Mutex // one Pause or Resume at a time

	mu     sync.Mutex
	closed bool
	err    error // set before done is closed
}

func newMachine(proc *process, channels *channels, console, stderr *stream) *machine {
	m := &machine{proc: proc, channels: channels, console: console, stderr: stderr, done: make(chan struct{})}
	go m.watch()
	return m
}

// watch is the one that ends the machine. The streams end with the process that
// held their other ends, so the last words are there before Done.
func (m *machine) watch() {
	<-m.proc.exited
	<-m.console.done
	<-m.stderr.done
	m.channels.close()
	m.mu.Lock()
	m.err = m.cause()
	m.mu.Unlock()
	close(m.done)
}

// cause says why the process ended. QEMU exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	switch {
	case m.closed:
		return vmm.ErrClosed
	case m.proc.state.Success():
		return nil
	}
	if last := m.stderr.last(); last != "" {
		return fmt.Errorf("qemu ended with %s: %s", m.proc.state, last)
	}
	return fmt.Errorf("qemu ended with %s", m.proc.state)
}

// Channel implements vmm.VM.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return m.channels.take(port)
}

// Pause implements vmm.VM by stopping the process: no bytes are lost, since they
// wait in sockets.
func (m *machine) Pause(ctx context.Context) error {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	if err := m.proc.stop(ctx); err != nil {
		if ended := m.ended(); ended != nil {
			err = ended
		}
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

// Resume implements vmm.VM.
func (m *machine) Resume(ctx context.Context) error {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if err := m.proc.cont(); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// ended is nil while the process may run.
func (m *machine) ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return vmm.ErrClosed
	}
	select {
	case <-m.proc.exited:
		return vmm.ErrEnded
	default:
		return nil
	}
}

// PID implements vmm.VM.
func (m *machine) PID() int { return m.proc.pid }

// Done implements vmm.VM.
func (m *machine) Done() <-chan struct{} { return m.done }

// Err implements vmm.VM.
func (m *machine) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close implements vmm.VM. SIGKILL ends a stopped process as well.
func (m *machine) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.proc.kill()
	<-m.done
	return nil
}
