package qemu

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// machine is one running QEMU. Lock order: replacing, then mu.
type machine struct {
	*monitor.Life
	channels  *monitor.Channels
	control   *qmp
	console   *monitor.Stream
	stderr    *monitor.Stream
	template  string      // Config.Template
	tscKHz    int         // as the guest's kernel was told
	major     int         // of QEMU's version
	migration chan string // how a migration ended

	replacing sync.Mutex // one Replace at a time
	disks     []drive

	mu     sync.Mutex
	reason string // of the end, by QEMU's event
}

func newMachine(proc *monitor.Process, cfg vmm.Config, w *wires) *machine {
	m := &machine{
		Life: monitor.NewLife(proc), channels: w.channels, console: monitor.Relay(w.console, cfg.Console), stderr: monitor.Relay(w.stderr, cfg.Log),
		template: cfg.Template, tscKHz: w.plan.tscKHz, major: w.plan.major, disks: newDrives(cfg),
		migration: make(chan string, 1),
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
	<-m.Process.Exited
	<-m.console.Done
	<-m.stderr.Done
	<-m.control.broken
	m.channels.Close()
	m.Finish(m.cause())
}

// cause says why the process ended. QEMU exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.Process.State.Success() && !slices.Contains(byHost, m.reason):
		return nil
	case m.Process.State.Success():
		return fmt.Errorf("qemu ended by %s", m.reason)
	}
	if last := m.stderr.Last(); last != "" {
		return fmt.Errorf("qemu ended with %s: %s", m.Process.State, last)
	}
	return fmt.Errorf("qemu ended with %s", m.Process.State)
}

// Channel implements vmm.VM.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.Ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return m.channels.Take(port)
}
