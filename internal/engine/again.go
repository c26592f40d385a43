package engine

import (
	"context"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// Restart policies.
const (
	restartNo        = "no"
	restartOnFailure = "on-failure"
	restartAlways    = "always"
)

// A command that ends this many times in a row so soon after its start is held
// back, first for heldFirst and then twice as long each time, up to heldMost.
const (
	quickly   = 10 * time.Second
	quickEnds = 5
	heldFirst = time.Second
	heldMost  = 5 * time.Minute
)

// count keeps the score of ends that came too soon.
func count(rec *store.Record, exit instance.Exit) {
	quick := !rec.StartedAt.IsZero() && exit.At.Sub(rec.StartedAt) < quickly
	switch {
	case exit.Reason == instance.StoppedBy, exit.Reason == instance.IdledOut:
		return
	case exit.Reason != instance.BootFailed && !quick:
		rec.Failures, rec.HeldUntil = 0, time.Time{}
		return
	}
	rec.Failures++
	if over := rec.Failures - quickEnds; over >= 0 {
		rec.HeldUntil = exit.At.Add(min(heldFirst<<min(over, 16), heldMost))
	}
}

// forgive begins the score anew, for a user who starts by hand.
func forgive(rec *store.Record) { rec.Failures, rec.HeldUntil = 0, time.Time{} }

// heldBack is why a connection does not start an instance now.
func heldBack(rec store.Record, now time.Time) error {
	if !now.Before(rec.HeldUntil) {
		return nil
	}
	return fault.New(fault.Backoff, rec.Spec.Name, "", "its command has ended %d times soon after its start; next try in %s",
		rec.Failures, rec.HeldUntil.Sub(now).Round(time.Second))
}

// again reports whether the policy wants a STOPPED instance started: never after a
// user's stop, nor after an idle one, which a connection ends.
func again(rec store.Record) bool {
	if rec.Exit == nil || rec.UserStopped || rec.Spec.Ephemeral || rec.Exit.Reason == instance.IdledOut {
		return false
	}
	switch rec.Spec.Restart {
	case restartAlways:
		return true
	case restartOnFailure:
		return rec.Exit.Reason != instance.StoppedBy && (rec.Exit.Reason != instance.Exited || rec.Exit.Code != 0 || rec.Exit.Signal != 0)
	}
	return false
}

// retry starts an instance as its policy wants.
func (a *actor) retry() {
	a.retryAt = time.Time{}
	if a.rec.State != instance.Stopped || a.ending != nil {
		return
	}
	if _, err := a.launch(instance.Start, nil); err != nil {
		a.e.Log.Warn("cannot restart", "instance", a.id, "error", err)
		a.retryAt = time.Now().Add(heldFirst << min(a.rec.Failures, 8))
		rec := a.rec
		rec.Failures++
		a.save(rec)
	}
}

// Restart stops an instance if it runs, and starts it.
func (e *Engine) Restart(ctx context.Context, ref string, grace time.Duration) (client.Instance, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return client.Instance{}, err
	}
	if grace < 0 {
		grace = e.Config.StopTime
	}
	if err := a.ask(ctx, func() error { // what could not start again is not stopped
		_, err := e.plan(a.rec)
		if err != nil {
			return a.refuse("restart", err)
		}
		return nil
	}); err != nil {
		return client.Instance{}, err
	}
	if err := e.stop(ctx, a, grace); err != nil {
		return client.Instance{}, err
	}
	return e.Start(ctx, a.id)
}
