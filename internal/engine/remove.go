package engine

import (
	"context"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// forceGrace is how long a forced delete lets the command end by itself: its disk
// is deleted anyway, and its workspace has no write-back cache to lose.
const forceGrace = 2 * time.Second

// Delete frees every byte of a STOPPED instance but a workspace that its user
// named. force stops it first.
func (e *Engine) Delete(ctx context.Context, ref string, force bool) error {
	a, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	if force {
		if err := e.stop(ctx, a, forceGrace); err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.NoSpace) {
			return err // but for a full disk, on which to delete is what helps
		}
	}
	err = a.ask(ctx, func() error {
		if _, err := instance.Next(a.rec.State, instance.Delete); err != nil {
			return a.refuse("delete", err)
		}
		return a.remove()
	})
	if force && fault.Is(err, fault.NotFound) {
		return nil // an ephemeral one went by itself when it stopped
	}
	return err
}

// forgetFresh removes an instance whose first start failed: a failed verb leaves
// what was.
func (a *actor) forgetFresh() {
	if a.rec.State != instance.Stopped || !a.rec.StartedAt.IsZero() {
		return
	}
	if err := a.remove(); err != nil {
		a.e.Log.Error("cannot remove an instance that never ran", "instance", a.id, "error", err)
	}
}

// remove forgets a STOPPED instance and frees what it owns. The record goes last
// but for the actor: what is left after a crash is found and removed by Open.
func (a *actor) remove() error {
	if a.claim != nil {
		a.claim.Drain()
		a.unclaim()
	}
	if err := erase(a.e.Home.Instance(a.id).Dir); err != nil {
		return fault.New(fault.Internal, a.rec.Spec.Name, "delete instance "+quote(a.rec.Spec.Name), "%w", err)
	}
	if w := a.rec.Spec.Workspace; w != nil && w.Temporary {
		if err := erase(a.e.Home.TemporaryWorkspace(a.id)); err != nil {
			return fault.New(fault.Internal, a.rec.Spec.Name, "delete the temporary workspace", "%w", err)
		}
	}
	if err := a.e.Store.Delete(context.Background(), a.id); err != nil {
		return err
	}
	a.e.events.emit(eventDeleted, a.rec, time.Now())
	a.e.mu.Lock()
	delete(a.e.actors, a.id)
	delete(a.e.leaving, a.id)
	for _, p := range a.rec.Spec.Ports {
		if a.e.given[p.Host]--; a.e.given[p.Host] <= 0 {
			delete(a.e.given, p.Host)
		}
	}
	a.e.mu.Unlock()
	a.stale = true
	return nil
}
