package shim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/instance"
	"aegis/internal/shim/broker"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// boot makes an instance's VM, its helpers, and the link to its guest.
func (r *run) boot(ctx context.Context, backend vmm.Backend) error {
	ctx, cancel := context.WithTimeout(ctx, r.launch.BootTimeout)
	defer cancel()
	r.phase("")
	disk, size, err := openDisk(ctx, r.launch.Assignment.Disk)
	if err != nil {
		return err
	}
	defer disk.Close()
	r.diskSize = size
	if r.launch.Template == "" {
		if err := r.makeVM(ctx, backend, disk); err != nil {
			return err
		}
		r.phase("monitor")
	} else {
		if err := r.makeVM(ctx, backend, nil); err != nil {
			return err
		}
		r.phase("restore")
		if err := r.putDisk(ctx, disk); err != nil {
			return err
		}
		r.phase("disk")
	}
	go r.sample()
	ctx, stop := r.whileAlive(ctx)
	defer stop()
	if err := r.attach(ctx); err != nil {
		return err
	}
	if err := r.seal(); err != nil {
		return err
	}
	r.phase("helpers")
	if err := r.hello(ctx, r.launch.Template != ""); err != nil {
		return err
	}
	r.phase("hello")
	return nil
}

// makeTemplate boots a VM, prepares its guest and saves it, which ends it.
func (r *run) makeTemplate(ctx context.Context, backend vmm.Backend) error {
	if r.snapshots == nil {
		return errNoSnapshots
	}
	if err := r.makeVM(ctx, backend, nil); err != nil {
		return err
	}
	if err := r.seal(); err != nil {
		return err
	}
	alive, stop := r.whileAlive(ctx)
	defer stop()
	channel, err := r.prepare(alive)
	if err != nil {
		return err
	}
	defer channel.Close() // not earlier: the guest must not see it end
	stop()
	if err := r.snapshots.Save(ctx, r.vm); err != nil {
		return fmt.Errorf("save the template: %w", err)
	}
	r.mu.Lock()
	r.saved = true
	r.mu.Unlock()
	return nil
}

// rehearse makes a pooled run's VM, runs the programs in it, and stops its processors.
func (r *run) rehearse(ctx context.Context, backend vmm.Backend) error {
	disk, root, err := r.stage(ctx)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := r.makeVM(ctx, backend, disk); err != nil {
		return err
	}
	alive, stop := r.whileAlive(ctx)
	defer stop()
	if r.launch.Template == "" {
		if r.control, err = r.prepare(alive); err != nil {
			return err
		}
	}
	hello, cancel := context.WithTimeout(alive, r.launch.BootTimeout)
	defer cancel()
	if err := r.hello(hello, true); err != nil {
		return err
	}
	programs := r.launch.Programs
	if r.launch.Disk != "" { // they run again over that
		programs = programs[:min(len(programs), rehearsals)]
	}
	for _, args := range programs {
		if err := r.rehearsal(alive, args, root); err != nil {
			return fmt.Errorf("rehearse %q: %w", args, err)
		}
	}
	if r.launch.Disk != "" {
		if err := r.mount(hello); err != nil {
			return err
		}
	}
	if err := r.vm.Pause(ctx); err != nil {
		return fmt.Errorf("stop the VM's processors: %w", err)
	}
	go r.sample()
	r.mu.Lock()
	r.ready = true
	r.mu.Unlock()
	r.broadcast(instance.Report{Ready: true})
	return nil
}

// stage is the disk that a pooled run's VM begins with, and the root that rehearsals have:
// over a scratch disk, or over memory where no other disk can be put in later.
func (r *run) stage(ctx context.Context) (*os.File, wire.Root, error) {
	root := wire.Root{Base: instance.SerialBase, BaseType: r.launch.BaseType}
	if r.snapshots == nil {
		disk, size, err := openDisk(ctx, r.launch.Disk)
		r.diskSize = size
		return disk, root, err
	}
	disk, err := os.OpenFile(r.launch.Scratch, os.O_RDWR, 0)
	if err != nil {
		return nil, root, err
	}
	info, err := disk.Stat()
	if err != nil {
		disk.Close()
		return nil, root, err
	}
	root.Disk, root.Size = instance.SerialDisk, info.Size()
	return disk, root, nil
}

// rehearsals are enough for what a start does: the first is the one that is slow.
const rehearsals = 2

// rehearsal runs one program.
func (r *run) rehearsal(ctx context.Context, args []string, root wire.Root) error {
	ctx, cancel := context.WithTimeout(ctx, r.launch.BootTimeout)
	defer cancel()
	start := wire.Start{
		Seed: seed(), Clock: now(), Hostname: "localhost", MachineID: strings.Repeat("0", 32),
		Root:    root,
		BaseEnv: map[string]string{"PYTHONDONTWRITEBYTECODE": "1"},
		Main:    wire.Process{ID: wire.MainID, Args: args, Dir: "/workspace"},
		Self:    &wire.Self{}, Workspace: &wire.Workspace{},
	}
	if r.nic {
		start.Network = r.machineNetwork()
	}
	_, err := r.link.Rehearse(ctx, start)
	if fault.Is(err, fault.CommandNotFound) || fault.Is(err, fault.CommandNotRunnable) {
		return nil
	}
	return err
}

// machineNetwork is the network of a machine that is nobody's; nil without one.
func (r *run) machineNetwork() *wire.Network {
	if !r.launch.NIC {
		return nil
	}
	n := network{mac: machineMAC, ipv6: broker.HasIPv6(), ports: []uint16{80}}
	return n.guest(r.nic)
}

// prepare has the guest of a VM that was booted get ready for a template, and gives the
// channel on which it waits.
func (r *run) prepare(ctx context.Context) (net.Conn, error) {
	allowed := r.launch.BootTimeout * time.Duration(2+len(r.launch.Programs))
	ctx, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	channel, err := r.vm.Channel(ctx, vmm.PortControl)
	if err != nil {
		return nil, fmt.Errorf("take the control channel: %w", err)
	}
	_, err = guest.Prepare(ctx, channel, wire.Prepare{Seed: seed(), Base: instance.SerialBase, BaseType: r.launch.BaseType,
		Network: r.machineNetwork(), Programs: r.launch.Programs})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("the guest was not ready for a template within %s", allowed)
	}
	if err != nil {
		channel.Close()
		return nil, err
	}
	return channel, nil
}

// hello opens the link to the guest: again, when it was prepared.
func (r *run) hello(ctx context.Context, again bool) error {
	channel := r.control
	if channel == nil {
		taken, err := r.vm.Channel(ctx, vmm.PortControl)
		if err != nil {
			return fmt.Errorf("take the control channel: %w", err)
		}
		channel = taken
	}
	open := guest.Open
	if again {
		open = guest.Reopen
	}
	var err error
	r.link, err = open(ctx, channel)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the guest did not answer within %s", r.launch.BootTimeout)
	}
	return err
}

// whileAlive ends with the VM: a monitor that ends must not leave us waiting.
func (r *run) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-r.vm.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// seed is new randomness for a guest (wire.Start).
func seed() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}
