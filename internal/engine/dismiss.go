package engine

import (
	"context"
	"slices"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// dismissed is an instance that nobody finds any more, and that is not gone yet.
type dismissed struct {
	a     *actor
	name  string
	ports []instance.Port
}

// Dismiss deletes a run whose client has had its answer: when it returns nobody finds
// the instance, and its VM, its disk and its ports go behind that. Until they are gone
// whoever wants its name or one of its ports waits. A daemon that ends meanwhile leaves
// it to the next one, as every run without a client. Of an instance that is no run it is
// Delete, with force.
func (e *Engine) Dismiss(ctx context.Context, ref string) error {
	a, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	run := false
	err = a.ask(ctx, func() error {
		if run = a.rec.Spec.Ephemeral; !run {
			return nil
		}
		return a.dismiss(forceGrace)
	})
	if err == nil && !run {
		return e.Delete(ctx, a.id, true)
	}
	return err
}

// dismiss hides a run and begins to end it; over removes it.
func (a *actor) dismiss(grace time.Duration) error {
	a.e.hide(a, a.rec.Spec)
	a.rec.UserStopped = true // no connection starts it again
	if a.claim != nil {
		a.claim.Rest()
		a.claim.Drain()
	}
	if a.rec.State == instance.Stopped {
		return a.remove()
	}
	_, err := a.end(instance.Stop, grace, instance.StoppedBy)
	return err
}

// hide keeps an instance from being found, to its end.
func (e *Engine) hide(a *actor, spec instance.Spec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.actors[a.id] == a {
		e.leaving[a.id] = dismissed{a, spec.Name, spec.Ports}
	}
}

// vacated returns when no instance that was dismissed has this name, or one of these
// host ports.
func (e *Engine) vacated(ctx context.Context, name string, ports []instance.Port) error {
	for _, d := range e.onTheirWay() {
		if d.name != name && !slices.ContainsFunc(ports, d.has) {
			continue
		}
		if err := d.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// emptied returns when nothing is there any more that was dismissed before.
func (e *Engine) emptied(ctx context.Context) error {
	for _, d := range e.onTheirWay() {
		if err := d.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when it is gone.
func (d dismissed) wait(ctx context.Context) error {
	select {
	case <-d.a.gone:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Timeout, d.name, "wait for the end of the run "+quote(d.name), "%w", context.Cause(ctx))
	}
}

// has reports whether it has the port, on whichever address.
func (d dismissed) has(p instance.Port) bool {
	return p.Host != 0 && slices.ContainsFunc(d.ports, func(own instance.Port) bool { return own.Host == p.Host })
}

func (e *Engine) onTheirWay() (out []dismissed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.leaving {
		out = append(out, d)
	}
	return out
}

// isLeaving reports whether an instance was dismissed; e.mu is held.
func (e *Engine) isLeaving(id string) bool {
	_, left := e.leaving[id]
	return left
}
