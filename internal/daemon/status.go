package daemon

import (
	"context"
	"fmt"
	"os"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/engine"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/version"
	"aegis/internal/wire"
)

// Version names the program and what it speaks.
func (d *daemon) Version() client.Version {
	return client.Version{Version: version.Version, API: version.API, Guest: fmt.Sprintf("%d.%d", wire.Major, wire.Minor)}
}

// Config is what the daemon has read at its start.
func (d *daemon) Config() []client.Setting {
	var out []client.Setting
	for _, v := range d.config.Values() {
		out = append(out, client.Setting(v))
	}
	return out
}

// Status describes the daemon and what it would start VMs with.
func (d *daemon) Status(ctx context.Context) (client.Status, error) {
	s := client.Status{Version: version.Version, PID: os.Getpid(), StartedAt: d.started, Home: d.home.Dir, Cache: d.home.Cache,
		Socket: d.home.Socket(), FrontDoor: d.door, Listen: d.tcp, Warnings: append([]string{}, d.warn...), Platforms: []string{}, Kernels: []string{}, Instances: map[string]int{}}
	for _, state := range instance.States() {
		s.Instances[string(state)] = 0
	}
	list, err := d.engine.List(ctx)
	if err != nil {
		return s, err
	}
	for _, view := range list {
		s.Instances[view.State]++
	}
	s.Templates = len(d.engine.ListTemplates())
	s.PoolReady, s.PoolSize = d.engine.Pool()
	s.Backends = d.assets.backends()
	backend, err := d.assets.Backend(d.config.Backend, "")
	if err != nil {
		s.Warnings = append(s.Warnings, fault.As(err).Why)
	} else {
		s.Backend, s.Accelerator, s.Isolation = backend.Name, backend.Accelerator, engine.Isolation(backend.Accelerator)
		s.Confinement = backend.Confinement
		if found := d.assets.found(); found.Cause != "" && d.config.Confinement != config.ConfineOff {
			s.Warnings = append(s.Warnings, "processes that handle a guest are not fully confined: "+found.Cause)
		}
	}
	limits := d.launcher.tree()
	s.Limits = append([]string{}, limits.Controllers...)
	s.LimitsLack, s.LimitsFix = limits.Cause, limits.Fix
	ready, kernels, err := d.assets.platforms(ctx)
	if s.Ready = err == nil; err != nil {
		s.Warnings = append(s.Warnings, fault.As(err).Error())
	}
	s.Platforms, s.Kernels = append(s.Platforms, ready...), append(s.Kernels, kernels...)
	if dir, moved := d.home.SocketsMoved(); moved {
		s.Warnings = append(s.Warnings, "the path of the home is too long for sockets: they are in "+dir)
	}
	return s, nil
}

// Setup makes what a first start of an instance needs.
func (d *daemon) Setup(ctx context.Context, instances client.SetupFor, progress func(client.Progress)) error {
	var err error
	if instances.Platform, err = instance.ParsePlatform(instances.Platform); err != nil {
		return err
	}
	return d.assets.setup(ctx, instances, func(step, message string, done, total int64) {
		progress(client.Progress{Step: step, Message: message, Done: done, Total: total})
	})
}

// Down stops every VM; then serve ends.
func (d *daemon) Down(ctx context.Context) error {
	if err := d.engine.Down(ctx); err != nil {
		return err
	}
	d.stopOnce.Do(func() { close(d.down) })
	return nil
}
