package engine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
	"aegis/internal/template"
)

// actor owns one instance. All fields belong to its goroutine; others reach it
// through ask and post.
type actor struct {
	e    *Engine
	id   string
	box  chan func()
	gone chan struct{} // closed when the goroutine has ended

	rec       store.Record
	claim     Claim              // nil while the listeners are closed
	life      Life               // nil unless a VM exists
	template  *template.Template // what life was restored from; nil: nothing
	boot      *booting
	ending    *ending
	waiting   []*waiter // for RUNNING
	holds     map[string]int
	active    time.Time // when something last kept it awake
	cpuAt     time.Time // when the guest last used its processors
	trafficAt time.Time // last report of traffic
	paused    time.Time // since when it is PAUSED
	retryAt   time.Time // when the restart policy starts it; zero: not
	guest     instance.Lease
	waits     []chan<- instance.Exit // told of the next end
	stale     bool                   // the record was removed: end
	timer     *time.Timer
}

// booting is a start under way.
type booting struct {
	cancel context.CancelFunc
	began  time.Time
	from   instance.State
}

// ending is a stop under way. The state changes when the VM is gone.
type ending struct {
	reason string
	done   chan struct{}
}

// waiter is somebody who needs the instance RUNNING: told once, nil or why not.
type waiter struct {
	on   instance.Event
	done chan error
}

// errEnded is what an actor that is no more answers.
var errEnded = errors.New("the instance's owner has ended")

// spawn starts the goroutine of an instance, which does first before it takes
// anything from its mailbox or its clock. rec is saved already.
func (e *Engine) spawn(rec store.Record, claim Claim, first func(*actor)) *actor {
	a := &actor{e: e, id: rec.ID, box: make(chan func()), gone: make(chan struct{}), rec: rec, claim: claim,
		holds: map[string]int{}, active: time.Now(), timer: time.NewTimer(time.Hour)}
	e.mu.Lock()
	e.actors[rec.ID] = a
	for _, p := range rec.Spec.Ports {
		e.given[p.Host]++
	}
	e.mu.Unlock()
	e.wg.Go(func() { a.run(first) })
	return a
}

func (a *actor) run(first func(*actor)) {
	defer close(a.gone)
	defer a.timer.Stop()
	first(a)
	for !a.stale {
		a.rearm()
		select {
		case f := <-a.box:
			f()
		case <-a.timer.C:
			a.tick(time.Now())
		case <-a.e.ctx.Done():
			if a.life != nil {
				a.life.Leave()
			}
			return
		}
	}
}

// ask runs f on the actor's goroutine and returns its error. f must not block.
func (a *actor) ask(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case a.box <- func() { result <- f() }:
	case <-a.gone:
		return a.ended()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-result:
		return err
	case <-a.gone:
		return a.ended()
	}
}

// post hands f to the actor's goroutine, from background work.
func (a *actor) post(f func()) {
	select {
	case a.box <- f:
	case <-a.gone:
	}
}

func (a *actor) ended() error {
	return fault.New(fault.NotFound, a.id, "reach instance "+a.id, "%w", errEnded)
}

// save writes the record; the caller acts only after it succeeded.
func (a *actor) save(rec store.Record) error {
	if err := a.e.Store.Put(context.Background(), rec); err != nil {
		return err
	}
	a.become(rec)
	return nil
}

// become takes a record for what is true, and tells of it.
func (a *actor) become(rec store.Record) {
	a.e.events.moved(a.rec, rec, time.Now())
	a.rec = rec
}

// refuse names the action and the instance in a refusal. A fault that is about
// something else, a secret or a workspace, stays so: its hint names that.
func (a *actor) refuse(action string, err error) error {
	f := fault.As(err)
	return &fault.Error{Kind: f.Kind, Subject: cmp.Or(f.Subject, a.rec.Spec.Name), What: action + " instance " + quote(a.rec.Spec.Name), Why: f.Why, Cause: f.Cause}
}

func quote(s string) string { return `"` + s + `"` }

// stopping is why nothing can be done with an instance that is being stopped.
func (a *actor) stopping() error {
	return fault.New(fault.WrongState, "", "", "it is being stopped")
}
