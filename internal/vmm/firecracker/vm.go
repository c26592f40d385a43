package firecracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"aegis/internal/confine"
	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// machine is one running Firecracker. Lock order: replacing, pausing, then mu.
type machine struct {
	dir     string
	disks   []vmm.Disk // as configured; their files may be closed
	proc    *monitor.Process
	api     *api // nil while the monitor starts
	console *monitor.Stream
	log     *monitor.Stream
	save    snapshotCreate // of a template's VM, else zero
	outdir  string         // Config.Template
	memory  int64          // bytes
	done    chan struct{}

	confined bool // the process sees its directory and no other

	replacing sync.Mutex // one Replace at a time
	pausing   sync.Mutex // one Pause or Resume at a time

	mu     sync.Mutex
	ports  map[vmm.Port]bool // true: taken
	paused bool
	closed bool
	err    error // set before done is closed
}

func newMachine(proc *monitor.Process, cfg vmm.Config, console, log io.ReadCloser) *machine {
	m := &machine{
		dir: cfg.Dir, disks: cfg.Disks, proc: proc, outdir: cfg.Template, memory: cfg.Memory, ports: map[vmm.Port]bool{},
		console: monitor.Relay(console, cfg.Console), log: monitor.Relay(log, cfg.Log),
		done: make(chan struct{}), confined: confine.Rung(cfg.Confinement).On(),
	}
	for _, p := range cfg.Ports {
		m.ports[p] = false
	}
	go m.watch()
	return m
}

// watch is the one that ends the machine. The streams end with the process that
// held their other ends, so the last words are there before Done.
func (m *machine) watch() {
	<-m.proc.Exited
	<-m.console.Done
	<-m.log.Done
	sweep(m.dir)
	m.mu.Lock()
	m.err = m.cause()
	m.mu.Unlock()
	close(m.done)
}

// cause says why the process ended. Firecracker exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	switch {
	case m.closed:
		return vmm.ErrClosed
	case m.proc.State.Success():
		return nil
	}
	why := fmt.Sprintf("firecracker ended with %s", ending(m.proc.State))
	if last := m.log.Last(); last != "" {
		why += ": " + last
	}
	return errors.New(why)
}

// codes are the exit statuses that say more than that it failed (its FcExitCode).
var codes = map[int]string{
	148: "a system call that its filters refuse",
	149: "a bus error",
	150: "a memory fault",
	151: "a file that grew too large",
	152: "a configuration that it refuses",
	153: "arguments that it refuses",
	154: "no processor time left",
	155: "a broken pipe",
	156: "a hang-up",
	157: "an illegal instruction",
}

// ending is how the process ended, in words.
func ending(state *os.ProcessState) string {
	if what := codes[state.ExitCode()]; what != "" {
		return fmt.Sprintf("%s (%s)", state, what)
	}
	return state.String()
}

// lastWords adds to an error what the monitor said, when it has ended.
func (m *machine) lastWords(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-m.done:
	case <-time.After(lastMoment): // what ended it may be what the error is about
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.err == nil {
		return err
	}
	return fmt.Errorf("%w: %w", m.err, err)
}

// lastMoment is how long the end of a monitor may take to be seen.
const lastMoment = 100 * time.Millisecond

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

// errPaused refuses what a stopped process can't answer.
var errPaused = errors.New("the VM is paused")

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
	if m.api != nil {
		m.api.close()
	}
	return nil
}
