package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// machine is one running QEMU. Lock order: replacing, pausing, then mu.
type machine struct {
	proc      *monitor.Process
	channels  *monitor.Channels
	control   *qmp
	console   *monitor.Stream
	stderr    *monitor.Stream
	template  string      // Config.Template
	tscKHz    int         // as the guest's kernel was told
	major     int         // of QEMU's version
	migration chan string // how a migration ended
	done      chan struct{}

	replacing sync.Mutex // one Replace at a time
	disks     []drive

	pausing sync.Mutex // one Pause or Resume at a time

	mu     sync.Mutex
	paused bool
	closed bool
	reason string // of the end, by QEMU's event
	err    error  // set before done is closed
}

func newMachine(proc *monitor.Process, cfg vmm.Config, w *wires) *machine {
	m := &machine{
		proc: proc, channels: w.channels, console: monitor.Relay(w.console, cfg.Console), stderr: monitor.Relay(w.stderr, cfg.Log),
		template: cfg.Template, tscKHz: w.plan.tscKHz, major: w.plan.major, disks: newDrives(cfg),
		migration: make(chan string, 1), done: make(chan struct{}),
	}
	m.control = newQMP(w.control, m.event)
	// Without it QEMU takes no other command. It is not waited for, and a QEMU that
	// can't take it ends.
	m.control.post(command{Execute: "qmp_capabilities"})
	go m.watch()
	return m
}

// watch is the one that ends the machine. The streams end with the process that
// held their other ends, so the last words are there before Done.
func (m *machine) watch() {
	<-m.proc.Exited
	<-m.console.Done
	<-m.stderr.Done
	<-m.control.broken
	m.channels.Close()
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
	case m.proc.State.Success() && !slices.Contains(byHost, m.reason):
		return nil
	case m.proc.State.Success():
		return fmt.Errorf("qemu ended by %s", m.reason)
	}
	if last := m.stderr.Last(); last != "" {
		return fmt.Errorf("qemu ended with %s: %s", m.proc.State, last)
	}
	return fmt.Errorf("qemu ended with %s", m.proc.State)
}

// Channel implements vmm.VM.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return m.channels.Take(port)
}

// Pause implements vmm.VM by stopping the process: no bytes are lost, since they
// wait in sockets.
func (m *machine) Pause(ctx context.Context) error {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	if err := m.proc.Stop(ctx); err != nil {
		if ended := m.ended(); ended != nil {
			err = ended
		}
		return fmt.Errorf("pause: %w", err)
	}
	m.setPaused(true)
	return nil
}

// Resume implements vmm.VM.
func (m *machine) Resume(ctx context.Context) error {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if err := m.proc.Cont(); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	m.setPaused(false)
	return nil
}

func (m *machine) setPaused(paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = paused
}

// running is nil while the process runs and is not paused.
func (m *machine) running() error {
	if err := m.ended(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused {
		return errPaused
	}
	return nil
}

// errPaused refuses what a stopped process can't answer.
var errPaused = errors.New("the VM is paused")

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
