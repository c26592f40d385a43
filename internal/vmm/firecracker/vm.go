package firecracker

import (
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

// machine is one running Firecracker. Lock order: replacing, then mu.
type machine struct {
	*monitor.Life
	dir     string
	disks   []vmm.Disk // as configured; their files may be closed
	api     *api       // nil while the monitor starts
	console *monitor.Stream
	log     *monitor.Stream
	save    snapshotCreate // of a template's VM, else zero
	outdir  string         // Config.Template
	memory  int64          // bytes

	confined bool // the process sees its directory and no other

	replacing sync.Mutex // one Replace at a time

	mu    sync.Mutex
	ports map[vmm.Port]bool // true: taken
}

func newMachine(proc *monitor.Process, cfg vmm.Config, console, log io.ReadCloser) *machine {
	m := &machine{
		Life: monitor.NewLife(proc), dir: cfg.Dir, disks: cfg.Disks, outdir: cfg.Template, memory: cfg.Memory, ports: map[vmm.Port]bool{},
		console: monitor.Relay(console, cfg.Console), log: monitor.Relay(log, cfg.Log),
		confined: confine.Rung(cfg.Confinement).On(),
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
	<-m.Process.Exited
	<-m.console.Done
	<-m.log.Done
	sweep(m.dir)
	m.Finish(m.cause())
}

// cause says why the process ended. Firecracker exits with 0 when the guest ended the VM.
func (m *machine) cause() error {
	if m.Process.State.Success() {
		return nil
	}
	why := fmt.Sprintf("firecracker ended with %s", ending(m.Process.State))
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

// Close implements vmm.VM.
func (m *machine) Close() error {
	err := m.Life.Close()
	if m.api != nil {
		m.api.close()
	}
	return err
}

// lastWords adds to an error what the monitor said, when it has ended.
func (m *machine) lastWords(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-m.Done():
	case <-time.After(lastMoment): // what ended it may be what the error is about
		return err
	}
	ended := m.Err()
	if ended == nil || errors.Is(ended, vmm.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}

// lastMoment is how long the end of a monitor may take to be seen.
const lastMoment = 100 * time.Millisecond
