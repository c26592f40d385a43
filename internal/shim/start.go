package shim

import (
	"context"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// claim takes the one start of a run: of one that is nobody's with an assignment, of
// an instance's without.
func (r *run) claim(boots *instance.Boots) error {
	const what = "start the command"
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.start != notStarted:
		return fault.New(fault.WrongState, "", what, "this run was started before")
	case r.launch.Save != "":
		return fault.New(fault.WrongState, "", what, "this run makes a template")
	case r.owner != nil && boots.Assignment != nil:
		return fault.New(fault.WrongState, "", what, "this run is an instance's already")
	case r.owner == nil && boots.Assignment == nil:
		return fault.New(fault.WrongState, "", what, "this run is no instance's yet")
	}
	r.start, r.ready = starting, false
	return nil
}

// begun brings the VM to where the command runs. On an error the run has ended.
func (r *run) begun(ctx context.Context, boots *instance.Boots) (*guest.Process, wire.Stages, error) {
	if boots.Assignment != nil {
		if err := r.take(*boots.Assignment); err != nil {
			return nil, nil, r.abandon(fault.New(fault.BootFailed, "", "make the VM the instance's", "%w", err))
		}
		go r.matter()
	}
	secrets := map[string]string{}
	for _, name := range boots.Secrets {
		secrets[name] = boots.Start.BaseEnv[name]
	}
	r.log.Redact(secrets)
	if err := r.waiting(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.launch.BootTimeout)
	defer cancel()
	helpers := make(chan error, 1)
	if boots.Assignment != nil {
		r.phase("assign")
		go func() {
			err := r.attach(ctx)
			if err == nil {
				err = r.seal()
			}
			helpers <- err
		}()
		if err := r.wake(ctx); err != nil {
			return nil, nil, r.abandon(fault.New(fault.BootFailed, "", "make the VM the instance's", "%w", err))
		}
	} else {
		helpers <- nil
		r.phase("wait")
	}
	boots.Start.Network = r.network.guest(r.nic)
	boots.Start.Root.Size = r.diskSize
	boots.Start.Clock = now()
	process, stages, err := r.link.Start(ctx, boots.Start)
	if err == nil && late(boots.Start.Clock, stages) {
		go r.setClock()
	}
	r.phase("link")
	if failed := <-helpers; err == nil {
		err = failed
	}
	r.phase("helpers")
	if err != nil {
		return nil, nil, r.abandon(err)
	}
	return process, stages, nil
}

// abandon ends a run whose start has failed, and gives the error.
func (r *run) abandon(err error) error {
	r.fail(fault.As(err).Why)
	r.killing.Do(func() { close(r.killed) })
	<-r.ended
	return err
}
