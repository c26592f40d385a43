package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/instance"
	"aegis/internal/logs"
	"aegis/internal/paths"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// run is one life of a VM, from its boot to its exit.
//
// Lock order: attaching, mu, then that of one watcher's news. None but attaching is
// held over I/O.
type run struct {
	launch  instance.Launch
	dir     paths.Run
	console *console
	rank    *rank // of a run that was made ahead; nil: it gave nothing up

	booted chan struct{} // closed when the VM waits for its start, or never will
	killed chan struct{} // closed when the run has to end at once
	ended  chan struct{} // closed when exit is known and on disk

	// Set before booted is closed, then constant.
	vm        vmm.VM
	snapshots vmm.Snapshotter // nil: the backend has none
	nic       bool            // the VM has a device for frames; else they come over a port
	link      *guest.Link
	control   net.Conn // the guest's channel, when it was prepared on it
	diskSize  int64    // of the instance's disk, bytes
	bootErr   error

	// Of an instance's run: set when it becomes that, then constant.
	log     *logs.Writer // under mu for who may come before
	network *network     // nil: none

	skew     func() time.Duration // hostSkew; a test's own
	followed time.Duration        // of sample: the skew that the guest's clock is right for

	attaching sync.Mutex // an instance's helpers are being started or stopped
	finished  bool       // under attaching: none may be started any more

	mu     sync.Mutex
	owner  *instance.Assignment // whose run it is; nil: nobody's
	helper *helper              // of the workspace
	net    *helper              // of the network
	gauges []gauge              // of the run's processes: this one, and what it has started
	start  startState
	phases phases

	ready    bool // it waits for an assignment
	paused   bool
	saved    bool           // a template was left
	asked    string         // reason of the end that was asked for, or ""
	main     *wire.Exit     // how the command ended
	failure  string         // why a part of the run failed
	exit     *instance.Exit // set before ended is closed
	watchers map[*news]struct{}
	lease    *instance.Lease // the last that the guest took or released, if any

	closing sync.Once
	killing sync.Once
	ops     sync.WaitGroup // the listener, and connections that are being answered
	relays  sync.WaitGroup // outputs that are being passed on; begins under mu, not when settling
	settles bool           // under mu
}

// startState says how far the one start of a run has come.
type startState int

const (
	notStarted startState = iota
	starting
	started
)

func newRun(launch instance.Launch) *run {
	return &run{
		launch: launch, dir: paths.Run{Dir: launch.RunDir}, console: &console{},
		booted: make(chan struct{}), killed: make(chan struct{}), ended: make(chan struct{}),
		watchers: map[*news]struct{}{}, gauges: []gauge{newGauge("shim", os.Getpid())},
		skew: hostSkew,
	}
}

// measure remembers a process of the run, which already runs its program.
func (r *run) measure(name string, pid int) {
	g := newGauge(name, pid)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauges = append(r.gauges, g)
}

// live makes the VM, brings it to where it waits for its start, waits for its end, and
// leaves exit.json. It returns when nothing of the run is left but its directory.
func (r *run) live(backend vmm.Backend) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // a kill must not wait for the boot
		select {
		case <-r.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	r.snapshots, _ = backend.Snapshots()
	r.nic = r.launch.NIC && backend.Caps().NIC
	err := r.begin(ctx, backend)
	if err != nil && r.vm != nil {
		err = r.cause(r.vm, err)
	}
	r.bootErr = err
	close(r.booted)
	if r.vm != nil {
		if err == nil {
			select {
			case <-r.vm.Done():
			case <-r.killed:
			}
		}
		r.vm.Close()
	}
	r.finish()
}

// begin is what comes before the start, by the kind of the run.
func (r *run) begin(ctx context.Context, backend vmm.Backend) error {
	switch {
	case r.launch.Save != "":
		return r.makeTemplate(ctx, backend)
	case r.launch.Assignment == nil:
		return r.rehearse(ctx, backend)
	}
	return r.boot(ctx, backend)
}

// lastMoment is how long the end of a VM may take to be seen, after the end of one of
// its channels was.
const lastMoment = 500 * time.Millisecond

// cause is why a boot failed: what the monitor said, when it is the one that ended.
func (r *run) cause(vm vmm.VM, err error) error {
	select {
	case <-vm.Done():
		if ended := vm.Err(); ended != nil && !errors.Is(ended, vmm.ErrClosed) {
			return ended
		}
	case <-r.killed:
	case <-time.After(lastMoment):
	}
	return err
}

// watchHelper ends the run when a helper ends first. A VM that ends
// closes the helper's channel, which is not the helper's failure.
func (r *run) watchHelper(h *helper) {
	<-h.done
	select {
	case <-r.vm.Done():
		return
	case <-time.After(lastMoment):
	}
	r.fail(fmt.Sprintf("%s ended: %v", h.what, h.err))
	r.vm.Close()
}

// fail keeps the first reason why a part of the run failed.
func (r *run) fail(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == "" {
		r.failure = why
	}
}

// end stops the run: the command gets SIGTERM, grace, SIGKILL; disks are
// synchronized; the VM ends. The first caller's reason counts; all wait.
func (r *run) end(grace time.Duration, reason string) {
	r.ask(reason)
	<-r.booted
	r.closing.Do(func() { go r.shutdown(grace) })
	<-r.ended
}

// kill ends the run at once, whatever it is doing, and waits for that.
func (r *run) kill(reason string) {
	r.ask(reason)
	r.killing.Do(func() { close(r.killed) })
	<-r.ended
}

// ask keeps the first reason for which an end was asked for.
func (r *run) ask(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == "" {
		r.asked = reason
	}
}

// shutdownSlack is how long unmounting and the guest's reboot may take beyond the
// grace of its processes; a guest that is slower is killed.
const shutdownSlack = 15 * time.Second

// shutdown has the guest end what runs and write what is to be written, and ends the VM.
func (r *run) shutdown(grace time.Duration) {
	if r.vm == nil {
		return
	}
	defer r.vm.Close()
	r.mu.Lock()
	owner := r.owner
	r.mu.Unlock()
	if r.bootErr != nil || owner == nil { // nothing of anybody's is in it
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace+shutdownSlack)
	defer cancel()
	if err := r.vm.Resume(ctx); err != nil {
		return
	}
	how := wire.Shutdown{Grace: grace, Discard: owner.Discard}
	if err := r.link.Shutdown(ctx, how, r.settle); err != nil && !isDone(r.vm.Done()) {
		slog.Warn("the guest did not shut down", "error", err)
	}
}

// finish decides why the run ended, and tells the disk and the watchers.
func (r *run) finish() {
	if r.link != nil {
		r.link.Close()
	}
	r.detach()
	exit := r.verdict()
	r.mu.Lock()
	first := r.start == started && r.main == nil
	log := r.log
	r.mu.Unlock()
	if log != nil {
		if first || exit.Error != "" {
			log.System(fmt.Sprintf("%s: %s", exit.Reason, exit.Error))
		}
		log.Close()
	}
	if err := writeExit(r.dir, exit); err != nil {
		slog.Error("cannot keep the exit", "error", err)
	}
	r.mu.Lock()
	r.exit = &exit
	r.mu.Unlock()
	close(r.ended)
}

// reach waits until the VM is an instance's and takes its start or has had it.
func (r *run) reach(ctx context.Context) error {
	r.mu.Lock()
	free := r.owner == nil
	r.mu.Unlock()
	if free {
		return fault.New(fault.WrongState, "", "reach the VM", "it is no instance's")
	}
	return r.waiting(ctx)
}

// waiting waits until the VM waits for its start, and for nothing else.
func (r *run) waiting(ctx context.Context) error {
	select {
	case <-r.booted:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.bootErr == nil && !isDone(r.ended) {
		return nil
	}
	select { // the sentence about a failed boot is made when all is down
	case <-r.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.bootErr == nil {
		return fault.New(fault.WrongState, "", "reach the VM", "it has ended")
	}
	return fault.New(fault.BootFailed, "", "boot the VM", "%s", r.exit.Error)
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
