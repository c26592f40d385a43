package engine

import (
	"context"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// maxReason bounds a lease's reason, in bytes.
const maxReason = 200

// Hold keeps an instance awake for a time, whatever it does; a PAUSED one is
// resumed. It replaces the lease that an earlier Hold took. A lease outlives the
// daemon, and ends with the instance's life.
func (e *Engine) Hold(ctx context.Context, ref string, d time.Duration, reason string) (client.Instance, error) {
	const what = "hold an instance"
	if d < time.Second || d > instance.MaxLease {
		return client.Instance{}, fault.New(fault.Invalid, "for", what, "a lease lasts from 1s to %s, not %s", instance.MaxLease, d)
	}
	if len(reason) > maxReason {
		return client.Instance{}, fault.New(fault.Invalid, "reason", what, "the reason has %d bytes, at most %d are kept", len(reason), maxReason)
	}
	a, err := e.find(ctx, ref)
	if err != nil {
		return client.Instance{}, err
	}
	if err := a.ask(ctx, func() error {
		if _, err := a.wake(instance.Hold); err != nil {
			return a.refuse("hold", err)
		}
		return a.lease(instance.Lease{Until: time.Now().Add(d).UTC(), Reason: reason})
	}); err != nil {
		return client.Instance{}, err
	}
	return e.view(ctx, a)
}

// Release drops the lease that Hold took; without one it does nothing.
func (e *Engine) Release(ctx context.Context, ref string) (client.Instance, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return client.Instance{}, err
	}
	if err := a.ask(ctx, func() error { return a.lease(instance.Lease{}) }); err != nil {
		return client.Instance{}, err
	}
	return e.view(ctx, a)
}

// lease keeps a user's lease.
func (a *actor) lease(l instance.Lease) error {
	now := time.Now()
	if a.rec.Lease.Held(now) {
		a.active = now
	}
	rec := a.rec
	rec.Lease = l
	return a.save(rec)
}

// leases are those that count: the user's and the guest's own.
func (a *actor) leases(now time.Time) []instance.Lease {
	var held []instance.Lease
	for _, l := range []instance.Lease{a.rec.Lease, a.guest} {
		if l.Held(now) {
			held = append(held, l)
		}
	}
	return held
}

// idleSince is when the idle clock began: the last activity, or the end of a
// lease, which may still be to come.
func (a *actor) idleSince() time.Time {
	since := a.active
	for _, l := range []instance.Lease{a.rec.Lease, a.guest} {
		if l.Until.After(since) {
			since = l.Until
		}
	}
	return since
}
