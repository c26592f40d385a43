package krun

import (
	"context"
	"fmt"
	"io"
	"net"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// machine is one running VM.
type machine struct {
	*monitor.Life
	channels *monitor.Channels
	console  *monitor.Stream
	log      *monitor.Stream
}

func newMachine(proc *monitor.Process, cfg vmm.Config, p *plan) *machine {
	console, consoleEnd := io.Pipe()
	log, logEnd := io.Pipe()
	m := &machine{Life: monitor.NewLife(proc), channels: p.channels,
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
	<-m.Process.Exited
	<-m.console.Done
	<-m.log.Done
	m.channels.Close()
	m.Finish(m.cause())
}

// cause says why the process ended. libkrun exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	if m.Process.State.Success() {
		return nil
	}
	if last := m.log.Last(); last != "" {
		return fmt.Errorf("%s ended with %s: %s", program, m.Process.State, last)
	}
	return fmt.Errorf("%s ended with %s", program, m.Process.State)
}

// Channel implements vmm.VM.
func (m *machine) Channel(ctx context.Context, port vmm.Port) (*net.UnixConn, error) {
	if err := m.Ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	return m.channels.Take(port)
}
