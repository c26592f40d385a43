package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/instance"
	"aegis/internal/logs"
	"aegis/internal/paths"
	"aegis/internal/undo"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// run is one life of a VM, from its boot to its exit.
//
// Lock order: mu, then that of one watcher's news. None is held over I/O.
type run struct {
	launch  instance.Launch
	dir     paths.Run
	log     *logs.Writer
	console *console

	booted chan struct{} // closed when boot has succeeded or failed
	killed chan struct{} // closed when the run has to end at once
	ended  chan struct{} // closed when exit is known and on disk

	// Set before booted is closed, then constant.
	vm      vmm.VM
	link    *guest.Link
	helper  *helper // of the workspace
	net     *helper // of the network
	network *network
	bootErr error

	mu    sync.Mutex
	start startState

	paused   bool
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

func newRun(launch instance.Launch, log *logs.Writer) *run {
	return &run{
		launch: launch, dir: paths.Run{Dir: launch.RunDir}, log: log, console: &console{},
		booted: make(chan struct{}), killed: make(chan struct{}), ended: make(chan struct{}),
		watchers: map[*news]struct{}{},
	}
}

// live boots the VM, waits for its end, and leaves exit.json. It returns when
// nothing of the run is left but its directory.
func (r *run) live(backend vmm.Backend) {
	ctx, cancel := context.WithTimeout(context.Background(), r.launch.BootTimeout)
	defer cancel()
	go func() { // a kill must not wait for the boot
		select {
		case <-r.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	vm, err := r.boot(ctx, backend)
	if err == nil {
		r.vm = vm
		stop := r.sample(vm)
		defer stop()
		if err = r.open(ctx, vm); err != nil {
			err = r.cause(vm, err)
		}
	}
	r.bootErr = err
	close(r.booted)
	if vm != nil {
		if err == nil {
			select {
			case <-vm.Done():
			case <-r.killed:
			}
		}
		vm.Close()
	}
	r.finish()
}

// boot opens every file, starts the monitor, and closes the files again.
func (r *run) boot(ctx context.Context, backend vmm.Backend) (vmm.VM, error) {
	var files undo.Stack
	defer files.Run()
	open := func(name string, flag int) (*os.File, error) {
		f, err := os.OpenFile(name, flag, 0)
		if err == nil {
			files.Add(func() { f.Close() })
		}
		return f, err
	}
	cfg := vmm.Config{Dir: r.dir.VMM(), Confinement: r.launch.Confinement, CPUs: r.launch.CPUs, Memory: r.launch.Memory,
		Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, Console: r.console, Log: &capped{w: os.Stderr, left: monitorLog}}
	if r.network = newNetwork(*r.launch.Assignment, backend.Caps()); r.network != nil {
		r.network.add(&cfg)
	}
	var err error
	if err = os.Mkdir(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if cfg.Kernel, err = open(r.launch.Kernel, os.O_RDONLY); err != nil {
		return nil, err
	}
	if cfg.Initrd, err = open(r.launch.Initrd, os.O_RDONLY); err != nil {
		return nil, err
	}
	base, err := open(r.launch.Base, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	disk, err := open(r.launch.Assignment.Disk, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := own(ctx, disk); err != nil {
		return nil, err
	}
	cfg.Disks = []vmm.Disk{
		{Serial: instance.SerialBase, File: base, ReadOnly: true},
		{Serial: instance.SerialDisk, File: disk},
	}
	return backend.Boot(ctx, cfg)
}

// open starts the helpers and says hello to the harness.
func (r *run) open(ctx context.Context, vm vmm.VM) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a monitor that ends must not leave us waiting for a hello
		select {
		case <-vm.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	if share := r.launch.Assignment.Workspace; share != nil {
		channel, err := vm.Channel(ctx, vmm.PortFS)
		if err != nil {
			return fmt.Errorf("take the workspace's channel: %w", err)
		}
		defer channel.Close() // the helper has its own descriptor
		if r.helper, err = startFS(share, confine.Rung(r.launch.Confinement), channel); err != nil {
			return err
		}
		go r.watchHelper(r.helper)
	}
	if err := r.openNetwork(ctx, vm); err != nil {
		return err
	}
	if err := r.seal(); err != nil {
		return err
	}
	channel, err := vm.Channel(ctx, vmm.PortControl)
	if err != nil {
		return fmt.Errorf("take the control channel: %w", err)
	}
	r.link, err = guest.Open(ctx, channel)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the guest did not answer within %s", r.launch.BootTimeout)
	}
	return err
}

// lastMoment is how long the end of a VM may take to be seen, after the end of one of
// its channels was.
const lastMoment = 500 * time.Millisecond

// cause is why a boot failed: what the monitor said, when it is the one that ended.
func (r *run) cause(vm vmm.VM, err error) error {
	select {
	case <-vm.Done():
		if vm.Err() != nil {
			return vm.Err()
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

// shutdown asks the guest to end, and kills the VM if it does not.
func (r *run) shutdown(grace time.Duration) {
	if r.vm == nil {
		return
	}
	defer r.vm.Close()
	if r.bootErr != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace+shutdownSlack)
	defer cancel()
	if err := r.vm.Resume(ctx); err != nil {
		return
	}
	if err := r.link.Shutdown(ctx, grace, r.settle); err != nil && !isDone(r.vm.Done()) {
		slog.Warn("the guest did not shut down", "error", err)
		return
	}
	select {
	case <-r.vm.Done():
	case <-ctx.Done():
	}
}

// finish decides why the run ended, and tells the disk and the watchers.
func (r *run) finish() {
	if r.link != nil {
		r.link.Close()
	}
	r.helper.stop()
	r.net.stop()
	exit := r.verdict()
	r.mu.Lock()
	first := r.start == started && r.main == nil
	r.mu.Unlock()
	if first || exit.Error != "" {
		r.log.System(fmt.Sprintf("%s: %s", exit.Reason, exit.Error))
	}
	r.log.Close()
	if err := writeExit(r.dir, exit); err != nil {
		slog.Error("cannot keep the exit", "error", err)
	}
	r.mu.Lock()
	r.exit = &exit
	r.mu.Unlock()
	close(r.ended)
}

// ready waits for the boot and for nothing else.
func (r *run) ready(ctx context.Context) error {
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
