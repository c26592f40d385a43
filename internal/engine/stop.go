package engine

import (
	"context"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// killSlack is how long a stop may take beyond its grace before the VM is killed.
const killSlack = 20 * time.Second

// Stop ends an instance for its user: it is not woken by connections, and its
// listeners close. It returns when the VM is gone. A negative grace is the default.
func (e *Engine) Stop(ctx context.Context, ref string, grace time.Duration) error {
	a, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	if grace < 0 {
		grace = e.Config.StopTime
	}
	return e.stop(ctx, a, grace)
}

func (e *Engine) stop(ctx context.Context, a *actor, grace time.Duration) error {
	var done <-chan struct{}
	var unsaved error // it ends all the same
	err := a.ask(ctx, func() error {
		var err error
		if done, err = a.end(instance.Stop, grace, instance.StoppedBy); err != nil {
			return a.refuse("stop", err)
		}
		unsaved = a.deafen()
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return unsaved
	case <-a.gone:
		return unsaved
	case <-ctx.Done():
		return fault.New(fault.Timeout, "", "stop the instance", "%w", context.Cause(ctx))
	}
}

// deafen closes the listeners, for a stop that its user asked for.
func (a *actor) deafen() error {
	a.retryAt = time.Time{} // also of one that its policy was about to start
	if a.claim != nil {
		a.claim.Rest()
		a.claim.Drain()
		if a.rec.State == instance.Stopped {
			a.unclaim()
		}
	}
	if a.rec.UserStopped {
		return nil
	}
	rec := a.rec
	rec.UserStopped = true
	return a.save(rec)
}

// unclaim ends the listeners and what is left of their connections.
func (a *actor) unclaim() {
	if claim := a.claim; claim != nil {
		a.claim = nil
		a.e.wg.Go(func() { claim.Close() }) // it waits for goroutines that may wait for us
	}
}

// end begins to end the VM, or joins the end under way. The channel closes when
// the instance is STOPPED.
func (a *actor) end(on instance.Event, grace time.Duration, reason string) (<-chan struct{}, error) {
	if a.ending != nil {
		return a.ending.done, nil
	}
	step, err := instance.Next(a.rec.State, on)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	if step.Do == instance.Nothing {
		close(done)
		return done, nil
	}
	a.ending = &ending{reason: reason, done: done}
	if a.boot != nil {
		a.boot.cancel()
		return done, nil
	}
	life := a.life
	a.e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace+killSlack)
		defer cancel()
		if err := life.Stop(ctx, grace, reason); err != nil {
			life.Kill(context.Background(), reason)
		}
	})
	return done, nil
}

// over is the one way to STOPPED: the VM is gone. why is told to those who wait
// for RUNNING; nil means that it ended after it ran.
func (a *actor) over(exit instance.Exit, why error) {
	ending, run := a.ending, a.rec.Run
	a.template.Release()
	a.template = nil
	a.life, a.ending, a.guest = nil, nil, instance.Lease{}
	step, err := instance.Next(a.rec.State, instance.Gone)
	if err != nil {
		a.e.Log.Error("an end without a VM", "instance", a.id, "state", a.rec.State)
		return
	}
	rec := a.rec
	rec.State, rec.Run, rec.Template, rec.Exit, rec.StoppedAt, rec.Lease = step.To, "", "", &exit, exit.At, instance.Lease{}
	count(&rec, exit)
	if err := a.save(rec); err != nil {
		a.e.Log.Error("cannot remember an end", "instance", a.id, "error", err)
		a.become(rec) // what is true counts; the next save repairs the registry
	}
	a.e.Launcher.Clear(a.e.Home.Run(run))
	if rec.UserStopped {
		a.unclaim()
	}
	if ending != nil {
		close(ending.done)
	}
	for _, ended := range a.waits {
		ended <- exit
	}
	a.waits = nil
	a.after(why, ending != nil)
}

// after serves whoever waited for RUNNING when the VM ended instead.
func (a *actor) after(why error, asked bool) {
	if why == nil {
		why = a.refuse("reach", fault.New(fault.WrongState, "", "", "it has just stopped"))
	}
	waiting := a.waiting
	a.waiting = nil
	if asked && !a.rec.UserStopped && anyConnect(waiting) {
		if w, err := a.launch(instance.Connect, nil); err == nil {
			a.waiting = append(waiting, w)
			return
		}
	}
	a.waiting = waiting
	a.release(why)
	if a.rec.Spec.Ephemeral {
		if err := a.remove(); err != nil {
			a.e.Log.Error("cannot delete an ephemeral instance", "instance", a.id, "error", err)
		}
		return
	}
	a.forgetFresh()
	if !a.stale && again(a.rec) && !a.e.isClosing() {
		a.retryAt = later(time.Now(), a.rec.HeldUntil)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func anyConnect(waiting []*waiter) bool {
	for _, w := range waiting {
		if w.on == instance.Connect {
			return true
		}
	}
	return false
}

// Down ends every VM, and keeps every record: a connection starts them again.
func (e *Engine) Down(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	if e.stock != nil {
		e.stock.close()
	}
	for _, a := range e.all(true) {
		e.wg.Go(func() {
			a.ask(ctx, func() error {
				_, err := a.end(instance.Stop, e.Config.StopTime, instance.StoppedBy)
				return err
			})
		})
	}
	for _, a := range e.all(true) {
		if err := a.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settled returns when the instance is STOPPED or gone.
func (a *actor) settled(ctx context.Context) error {
	var done <-chan struct{}
	err := a.ask(ctx, func() error {
		var err error
		done, err = a.end(instance.Stop, a.e.Config.StopTime, instance.StoppedBy)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-a.gone:
	case <-ctx.Done():
		return fault.New(fault.Timeout, "", "stop every instance", "%w", context.Cause(ctx))
	}
	return nil
}
