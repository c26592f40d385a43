// Package fake is a backend without a monitor, for the tests of other packages:
// a VM is a few goroutines, its channels are socket pairs, and what a template keeps
// of a guest is its RAM. It keeps the contract of package vmm, and vmmtest holds it
// to that. Nothing but tests imports it.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// Guest plays a guest: it has the guest's ends of the ports by name, prints to the
// console, and ends the VM by returning: with nil as a power-off, with an error as a
// crash of the monitor. ctx ends when the VM is killed. The ports close by themselves,
// as do cfg's disks, which are the machine's own; kernel and initrd may be closed.
// A VM that is restored plays Guest from its beginning, with the RAM that was saved.
type Guest func(ctx context.Context, ports map[string]net.Conn, console io.Writer, cfg vmm.Config) error

// Backend boots guests that are functions. Its fields may not change after the first Boot.
type Backend struct {
	Guest    Guest
	ProbeErr error // what Probe says
	BootErr  error // what Boot says, instead of booting

	NoSnapshots bool   // there is no Snapshotter
	SaveErr     error  // what Save says, instead of saving; the VM is closed
	RestoreErr  error  // what Restore says, instead of restoring
	ReplaceErr  error  // what Replace says, instead of replacing
	Build       string // what Version says; a template of another is not restored
}

// Name implements vmm.Backend.
func (b *Backend) Name() string { return "fake" }

// Caps implements vmm.Backend.
func (b *Backend) Caps() vmm.Caps {
	return vmm.Caps{Accelerator: "none", MaxCPUs: 64, MinMemory: 1 << 20, Snapshots: !b.NoSnapshots}
}

// Probe implements vmm.Backend.
func (b *Backend) Probe(context.Context) error { return b.ProbeErr }

// Boot implements vmm.Backend.
func (b *Backend) Boot(ctx context.Context, cfg vmm.Config) (vmm.VM, error) {
	if err := errors.Join(b.BootErr, ctx.Err(), cfg.CheckBoot(b.Caps())); err != nil {
		return nil, fmt.Errorf("boot with fake: %w", err)
	}
	m, err := b.machine(cfg, &RAM{})
	if err != nil {
		return nil, fmt.Errorf("boot with fake: %w", err)
	}
	return m, nil
}

// machine starts a guest with that memory.
func (b *Backend) machine(cfg vmm.Config, ram *RAM) (*machine, error) {
	m := newMachine(ram, cfg)
	var u undo.Stack
	defer u.Run()
	u.Add(m.abandon)
	ports := map[string]net.Conn{}
	for _, port := range cfg.Ports {
		guest, err := m.wire(port)
		if err != nil {
			return nil, err
		}
		ports[port.Name] = guest
	}
	disks, err := m.hold(cfg.Disks)
	if err != nil {
		return nil, err
	}
	m.disks, cfg.Disks = disks, disks
	u.Keep()
	go m.run(b.Guest, ports, cfg)
	return m, nil
}

// machine is one VM.
type machine struct {
	ctx  context.Context // of the guest; ended by kill
	kill context.CancelFunc
	ram  *RAM
	cfg  vmm.Config // as Boot or Restore got it
	gate gate
	done chan struct{}
	pump sync.WaitGroup // all copies
	out  sync.WaitGroup // those to the host

	mu     sync.Mutex
	conns  map[string]*net.UnixConn // nil: taken
	inner  []io.Closer              // what the guest and the pumps hold
	disks  []vmm.Disk               // the guest's
	closed bool
	err    error
}

func newMachine(ram *RAM, cfg vmm.Config) *machine {
	m := &machine{ram: ram, cfg: cfg, done: make(chan struct{}), conns: map[string]*net.UnixConn{}}
	m.ctx, m.kill = context.WithCancel(context.WithValue(context.Background(), ramKey{}, ram))
	m.gate.open()
	return m
}

// run plays the guest and then ends the machine.
func (m *machine) run(guest Guest, ports map[string]net.Conn, cfg vmm.Config) {
	console := cfg.Console
	if console == nil {
		console = io.Discard
	}
	returned := make(chan error, 1)
	go func() { returned <- guest(m.ctx, ports, &gated{console, m}, cfg) }()
	var err error
	select {
	case err = <-returned:
	case <-m.ctx.Done():
		err = vmm.ErrEnded
	}
	m.kill()
	m.gate.open()
	m.drain(ports)
	m.abandon()
	m.pump.Wait()
	m.mu.Lock()
	if m.err = err; m.closed {
		m.err = vmm.ErrClosed
	}
	m.mu.Unlock()
	close(m.done)
}

// drain lets what the guest wrote last reach the host, unless nobody reads it.
func (m *machine) drain(ports map[string]net.Conn) {
	for _, port := range ports {
		port.Close()
	}
	drained := make(chan struct{})
	go func() { m.out.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(100 * time.Millisecond):
	}
}

// abandon closes every stream that nobody took, and the inner ends of all.
func (m *machine) abandon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.inner {
		c.Close()
	}
	for name, conn := range m.conns {
		if conn != nil {
			conn.Close()
			m.conns[name] = nil
		}
	}
}

// Channel implements vmm.VM.
func (m *machine) Channel(_ context.Context, port vmm.Port) (*net.UnixConn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ended(); err != nil {
		return nil, fmt.Errorf("take port %q: %w", port.Name, err)
	}
	conn, ok := m.conns[port.Name]
	if !ok || conn == nil {
		return nil, fmt.Errorf("take port %q: there is none, or it was taken", port.Name)
	}
	m.conns[port.Name] = nil
	return conn, nil
}

// ended is nil while the guest runs. Call it with mu held.
func (m *machine) ended() error {
	if m.closed {
		return vmm.ErrClosed
	}
	if m.ctx.Err() != nil {
		return vmm.ErrEnded
	}
	return nil
}

// Pause implements vmm.VM: no byte passes to or from the guest.
func (m *machine) Pause(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	m.gate.shut()
	return nil
}

// Resume implements vmm.VM.
func (m *machine) Resume(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ended(); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	m.gate.open()
	return nil
}

// PID implements vmm.VM: there is no other process than this one.
func (m *machine) PID() int { return os.Getpid() }

// Done implements vmm.VM.
func (m *machine) Done() <-chan struct{} { return m.done }

// Err implements vmm.VM.
func (m *machine) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close implements vmm.VM.
func (m *machine) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.kill()
	<-m.done
	return nil
}

// Crash ends a VM that Boot made as kill -9 of a monitor would.
func Crash(vm vmm.VM) { vm.(*machine).kill() }
