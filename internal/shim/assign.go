package shim

import (
	"context"
	"errors"
	"fmt"

	"aegis/internal/confine"
	"aegis/internal/instance"
	"aegis/internal/logs"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// take makes the run an instance's, which begins with a log.
func (r *run) take(to instance.Assignment) error {
	if to.Net != nil && !r.launch.NIC {
		return errors.New("the instance has a network, and its machine has none")
	}
	log, err := logs.Open(to.LogDir, to.Instance, to.LogSize)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owner, r.log, r.network = &to, log, newNetwork(to)
	return nil
}

// wake lets a pooled VM go on, with its instance's disk and helpers.
func (r *run) wake(ctx context.Context) error {
	if r.owner.Mounted {
		return r.resume(ctx)
	}
	if r.snapshots == nil {
		return errNoSnapshots
	}
	disk, size, err := openDisk(ctx, r.owner.Disk)
	if err != nil {
		return err
	}
	defer disk.Close()
	r.diskSize = size
	if err := r.resume(ctx); err != nil {
		return err
	}
	if r.launch.Disk != "" {
		if err := r.link.Unmount(ctx); err != nil {
			return err
		}
		r.phase("unmount")
	}
	if err := r.putDisk(ctx, disk); err != nil {
		return err
	}
	r.phase("disk")
	return nil
}

func (r *run) resume(ctx context.Context) error {
	if err := r.vm.Resume(ctx); err != nil {
		return fmt.Errorf("let the VM go on: %w", err)
	}
	r.phase("resume")
	return nil
}

// mount puts the pooled run's own disk in, unless the VM began with it, for an instance
// that has none yet, and has the guest mount it.
func (r *run) mount(ctx context.Context) error {
	if r.snapshots != nil {
		disk, size, err := openDisk(ctx, r.launch.Disk)
		if err != nil {
			return err
		}
		defer disk.Close()
		if err := r.putDisk(ctx, disk); err != nil {
			return err
		}
		r.diskSize = size
	}
	ahead := wire.Ahead{
		Root:     wire.Root{Base: instance.SerialBase, BaseType: r.launch.BaseType, Disk: instance.SerialDisk, Size: r.diskSize},
		Programs: r.launch.Programs,
	}
	if r.nic {
		ahead.Network = r.machineNetwork()
		ahead.Network.Ingress = nil
	}
	return r.link.Mount(ctx, ahead)
}

// attach starts the instance's helpers.
func (r *run) attach(ctx context.Context) error {
	r.attaching.Lock()
	defer r.attaching.Unlock()
	if r.finished {
		return errors.New("the VM has ended")
	}
	if share := r.owner.Workspace; share != nil {
		channel, err := r.vm.Channel(ctx, vmm.PortFS)
		if err != nil {
			return fmt.Errorf("take the workspace's channel: %w", err)
		}
		defer channel.Close() // the helper has its own descriptor
		h, err := startFS(share, confine.Rung(r.launch.Confinement), channel)
		if err != nil {
			return err
		}
		r.keep(&r.helper, "fs", h)
	}
	return r.openNetwork(ctx, r.vm)
}

// keep remembers a helper and begins to look after it.
func (r *run) keep(as **helper, name string, h *helper) {
	r.measure(name, h.cmd.Process.Pid)
	r.mu.Lock()
	*as = h
	r.mu.Unlock()
	go r.watchHelper(h)
}

// detach stops the helpers, and lets no other be started.
func (r *run) detach() {
	r.attaching.Lock()
	defer r.attaching.Unlock()
	r.finished = true
	r.mu.Lock()
	helpers := []*helper{r.helper, r.net}
	r.mu.Unlock()
	for _, h := range helpers {
		h.stop()
	}
}
