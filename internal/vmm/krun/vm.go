package krun

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// machine is one running VM. Lock order: pausing, then mu.
type machine struct {
	proc     *monitor.Process
	channels *monitor.Channels
	console  *monitor.Stream
	log      *monitor.Stream
	done     chan struct{}

	pausing sync.Mutex // one Pause or Resume at a time

	mu     sync.Mutex
	closed bool
	err    error // set before done is closed
}

func newMachine(proc *monitor.Process, cfg vmm.Config, p *plan) *machine {
	console, consoleEnd := io.Pipe()
	log, logEnd := io.Pipe()
	m := &machine{proc: proc, channels: p.channels, done: make(chan struct{}),
		console: monitor.Relay(console, cfg.Console), log: monitor.Relay(log, cfg.Log)}
	go func() {
		defer p.stderr.Close()
		divide(p.stderr, consoleEnd, logEnd)
	}()
	go m.watch()
	return m
}

// watch is the one that ends the machine. The streams end with the process that
// held their other end, so the last words are there before Done.
func (m *machine) watch() {
	<-m.proc.Exited
	<-m.console.Done
	<-m.log.Done
	m.channels.Close()
	m.mu.Lock()
	m.err = m.cause()
	m.mu.Unlock()
	close(m.done)
}

// cause says why the process ended. libkrun exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	switch {
	case m.closed:
		return vmm.ErrClosed
	case m.proc.State.Success():
		return nil
	}
	if last := m.log.Last(); last != "" {
		return fmt.Errorf("%s ended with %s: %s", program, m.proc.State, last)
	}
	return fmt.Errorf("%s ended with %s", program, m.proc.State)
}

// Channel implements vmm.VM.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return m.channels.Take(port)
}

// Pause implements vmm.VM by stopping the process: no bytes are lost, since they wait in
// sockets.
func (m *machine) Pause(ctx context.Context) error {
	return m.signal("pause", func() error { return m.proc.Stop(ctx) })
}

// Resume implements vmm.VM.
func (m *machine) Resume(context.Context) error { return m.signal("resume", m.proc.Cont) }

func (m *machine) signal(what string, send func() error) error {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err := send()
	if err == nil {
		return nil
	}
	if ended := m.ended(); ended != nil {
		err = ended
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ended is nil while the process may run.
func (m *machine) ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return vmm.ErrClosed
	}
	select {
	case <-m.proc.Exited:
		return vmm.ErrEnded
	default:
		return nil
	}
}

// PID implements vmm.VM.
func (m *machine) PID() int { return m.proc.PID }

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
	m.proc.Kill()
	<-m.done
	return nil
}
