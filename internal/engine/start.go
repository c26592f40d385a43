package engine

import (
	"context"
	"errors"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// Start starts a STOPPED instance, or resumes a PAUSED one, and returns when its
// command runs. The first start of an instance that fails leaves no instance.
func (e *Engine) Start(ctx context.Context, ref string) (client.Instance, error) {
	a, _, err := e.start(ctx, ref, false)
	if err != nil {
		return client.Instance{}, err
	}
	return e.view(ctx, a)
}

// start begins a start and waits for its end; with attach, it returns the command's stream.
func (e *Engine) start(ctx context.Context, ref string, attach bool) (*actor, Stream, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	var w *waiter
	stream := make(chan Stream, 1)
	err = a.ask(ctx, func() error {
		var err error
		if attach && a.rec.State != instance.Stopped {
			err = fault.New(fault.WrongState, "", "", "it is %s", a.rec.State)
		} else if attach {
			w, err = a.launch(instance.Start, stream)
		} else {
			w, err = a.wake(instance.Start)
		}
		if err != nil {
			err = a.refuse("start", err)
			a.forgetFresh()
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if err := w.wait(ctx); err != nil {
		if attach {
			e.wg.Go(func() { e.abandon(a, stream) })
		}
		return nil, nil, err
	}
	if !attach {
		return a, nil, nil
	}
	return a, <-stream, nil
}

// abandon closes the stream of a start whose client did not wait for it.
func (e *Engine) abandon(a *actor, stream <-chan Stream) {
	select {
	case s := <-stream:
		(&attached{Stream: s, e: e, a: a}).Close()
	case <-a.gone:
	case <-e.ctx.Done():
	}
}

// wait returns when the instance is RUNNING, or why it is not going to be. A nil
// waiter means that it is.
func (w *waiter) wait(ctx context.Context) error {
	if w == nil {
		return nil
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fault.New(fault.Timeout, "", "wait for the instance", "it did not start in time: %w", context.Cause(ctx))
	}
}

// wake brings the instance to RUNNING for one of Start, Connect, Exec, Resume. A
// waiter is returned when that takes time.
func (a *actor) wake(on instance.Event) (*waiter, error) {
	if a.ending != nil {
		if on != instance.Connect || a.rec.UserStopped {
			return nil, a.stopping()
		}
		return a.await(on), nil // it starts again as soon as it has ended
	}
	if on == instance.Connect && a.rec.State == instance.Stopped {
		if a.rec.UserStopped {
			return nil, fault.New(fault.WrongState, "", "", "it was stopped by its user")
		}
		if err := heldBack(a.rec, time.Now()); err != nil {
			return nil, err
		}
	}
	step, err := instance.Next(a.rec.State, on)
	if err != nil {
		return nil, err
	}
	switch step.Do {
	case instance.Boot:
		if on == instance.Start {
			forgive(&a.rec)
		}
		return a.launch(on, nil)
	case instance.Thaw:
		return nil, a.thaw(step.To)
	}
	if a.rec.State == instance.Starting {
		return a.await(on), nil
	}
	return nil, nil
}

func (a *actor) await(on instance.Event) *waiter {
	w := &waiter{on: on, done: make(chan error, 1)}
	a.waiting = append(a.waiting, w)
	return w
}

// thaw continues a PAUSED instance.
func (a *actor) thaw(to instance.State) error {
	began := time.Now()
	rec := a.rec
	rec.State = to
	if err := a.save(rec); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.e.ctx, actTimeout)
	defer cancel()
	if err := a.life.Resume(ctx); err != nil {
		a.condemn(instance.VMDied)
		return err
	}
	a.active = time.Now()
	a.woke(instance.Paused, began, map[string]time.Duration{"resume": time.Since(began)})
	return nil
}

// woke remembers a return to RUNNING.
func (a *actor) woke(from instance.State, began time.Time, stages map[string]time.Duration) {
	rec := a.rec
	took := time.Since(began)
	rec.AddWake(store.Wake{At: began.UTC(), From: from, Took: took, Stages: stages})
	if a.e.Woke != nil {
		a.e.Woke(from, took)
	}
	if err := a.save(rec); err != nil {
		a.e.Log.Error("cannot remember a wake", "instance", a.id, "error", err)
	}
}

// bootFailed goes back to STOPPED with the reason, and tells all who waited.
func (a *actor) bootFailed(err error) {
	f := fault.As(err)
	exit := instance.Exit{Reason: instance.BootFailed, Error: f.Why, At: time.Now().UTC()}
	switch {
	case f.Kind == fault.CommandNotFound, f.Kind == fault.CommandNotRunnable:
		exit.Code = f.Kind.ExitProcess()
	case a.ending != nil:
		exit.Reason, exit.Error = a.ending.reason, ""
		f = &fault.Error{Kind: fault.WrongState, Why: "it was stopped while it was starting", Cause: err}
	case f.Kind == fault.Internal || errors.Is(err, context.Canceled):
		f = &fault.Error{Kind: fault.BootFailed, Why: f.Why, Cause: err}
	}
	a.over(exit, a.refuse("start", f))
}

// watch passes a life's reports to the mailbox, and its end.
func (a *actor) watch(life Life) {
	a.e.wg.Go(func() {
		for report := range life.Reports() {
			a.post(func() { a.heard(report) })
		}
		a.post(func() {
			if a.life == life {
				a.over(life.Exit(), nil)
			}
		})
	})
}

// heard takes what a shim reports while its VM lives.
func (a *actor) heard(report instance.Report) {
	now := time.Now()
	if report.Busy {
		a.active, a.cpuAt = now, now
	}
	if report.Traffic {
		a.active, a.trafficAt = now, now
	}
	if report.Denied != nil {
		a.e.events.denied(report.Denied, a.rec, now)
	}
	if report.Lease != nil {
		if a.guest.Held(now) {
			a.active = now
		}
		a.guest = *report.Lease
		a.guest.Until = earlier(a.guest.Until, now.Add(instance.MaxLease))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// release tells everybody who waits for RUNNING.
func (a *actor) release(err error) {
	for _, w := range a.waiting {
		w.done <- err
	}
	a.waiting = nil
}
