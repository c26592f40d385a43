package engine

import (
	"context"
	"fmt"
	"sort"
	"time"

	"aegis/internal/instance"
)

// Holds are what keeps an instance awake while it lasts.
const (
	holdConnection = "open connection"
	holdExec       = "running exec"
	holdAttached   = "attached run"
	holdCopy       = "copy"
)

// busyFor is how long after a report of CPU use or traffic an instance counts as awake by
// it: a shim reports at most every half second.
const busyFor = 1500 * time.Millisecond

// hold keeps the instance awake until the returned function is called, which is
// idempotent, and never waits: it may be the actor itself who closes a connection.
func (a *actor) hold(kind string) (release func()) {
	a.holds[kind]++
	done := make(chan struct{}, 1)
	done <- struct{}{}
	return func() {
		select {
		case <-done:
			go a.post(func() {
				if a.holds[kind]--; a.holds[kind] <= 0 {
					delete(a.holds, kind)
				}
				a.active = time.Now()
			})
		default:
		}
	}
}

// unclaimed is how long an ephemeral instance may wait for its run: the client that
// made it has gone.
const unclaimed = time.Minute

// deadline is when the clock moves the instance, and by which event.
func (a *actor) deadline() (time.Time, instance.Event, bool) {
	if a.ending != nil {
		return time.Time{}, "", false
	}
	spec := a.rec.Spec
	switch a.rec.State {
	case instance.Running:
		if spec.PauseAfter > 0 && len(a.holds) == 0 {
			return a.idleSince().Add(time.Duration(spec.PauseAfter)), instance.Idle, true
		}
	case instance.Paused:
		if spec.StopAfter > 0 {
			return a.paused.Add(time.Duration(spec.StopAfter)), instance.Expired, true
		}
	case instance.Stopped:
		if !a.retryAt.IsZero() {
			return a.retryAt, instance.Start, true
		}
		if spec.Ephemeral {
			return a.rec.CreatedAt.Add(unclaimed), instance.Delete, true
		}
	}
	return time.Time{}, "", false
}

// rearm sets the timer to the next deadline.
func (a *actor) rearm() {
	at, _, ok := a.deadline()
	if !ok {
		a.timer.Stop()
		return
	}
	a.timer.Reset(time.Until(at))
}

// tick does what the clock asks for, if it is still due.
func (a *actor) tick(now time.Time) {
	at, on, ok := a.deadline()
	if !ok || now.Before(at) {
		return
	}
	switch on {
	case instance.Start:
		a.retry()
		return
	case instance.Delete:
		if err := a.remove(); err != nil {
			a.e.Log.Error("cannot delete an ephemeral instance", "instance", a.id, "error", err)
			a.rec.CreatedAt = now // try again
		}
		return
	}
	if on == instance.Idle {
		if err := a.freeze(instance.Idle); err != nil {
			a.e.Log.Error("cannot pause", "instance", a.id, "error", err)
			a.active = now // try again after another idle time
		}
		return
	}
	if _, err := a.end(instance.Expired, a.e.Config.StopTime, instance.IdledOut); err != nil {
		a.e.Log.Error("cannot stop", "instance", a.id, "error", err)
		a.paused = now
	}
}

// awake lists what keeps the instance from pausing, for a person.
func (a *actor) awake(now time.Time) []string {
	reasons := []string{}
	if a.rec.State != instance.Running {
		return reasons
	}
	for kind, n := range a.holds {
		if n == 1 {
			reasons = append(reasons, "1 "+kind)
		} else {
			reasons = append(reasons, fmt.Sprintf("%d %s", n, plural(kind)))
		}
	}
	sort.Strings(reasons)
	if now.Sub(a.cpuAt) < busyFor {
		reasons = append(reasons, "guest CPU")
	}
	if now.Sub(a.trafficAt) < busyFor {
		reasons = append(reasons, "guest network")
	}
	for _, l := range a.leases(now) {
		reasons = append(reasons, "lease: "+l.Reason)
	}
	if a.rec.Spec.PauseAfter == 0 {
		reasons = append(reasons, "pause-after is never")
	}
	return reasons
}

func plural(kind string) string {
	if kind == holdCopy {
		return "copies"
	}
	return kind + "s"
}

// actTimeout bounds a pause or a resume; a shim that is slower hangs.
const actTimeout = 10 * time.Second

// freeze pauses a RUNNING instance.
func (a *actor) freeze(on instance.Event) error {
	if a.ending != nil {
		return a.stopping()
	}
	step, err := instance.Next(a.rec.State, on)
	if err != nil || step.Do == instance.Nothing {
		return err
	}
	rec := a.rec
	rec.State = step.To
	if err := a.save(rec); err != nil {
		return err
	}
	a.paused = time.Now()
	if a.claim != nil {
		a.claim.Rest()
	}
	ctx, cancel := context.WithTimeout(a.e.ctx, actTimeout)
	defer cancel()
	if err := a.life.Pause(ctx); err != nil {
		a.condemn(instance.VMDied) // what cannot be paused is gone or hangs
		return err
	}
	return nil
}

// condemn ends a VM that does not obey; its end comes as every end does.
func (a *actor) condemn(reason string) {
	life := a.life
	a.e.wg.Go(func() { life.Kill(context.Background(), reason) })
}

// Pause stops a RUNNING instance's processors and keeps its memory.
func (e *Engine) Pause(ctx context.Context, ref string) error {
	a, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	return a.ask(ctx, func() error {
		if err := a.freeze(instance.Pause); err != nil {
			return a.refuse("pause", err)
		}
		return nil
	})
}

// Resume continues a PAUSED instance.
func (e *Engine) Resume(ctx context.Context, ref string) error {
	a, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	return a.ask(ctx, func() error {
		if _, err := a.wake(instance.Resume); err != nil {
			return a.refuse("resume", err)
		}
		return nil
	})
}
