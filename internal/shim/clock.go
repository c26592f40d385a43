package shim

import (
	"context"
	"log/slog"
	"time"

	"aegis/internal/wire"
)

// A guest's clock is behind by what its message took to reach it: some milliseconds, and
// a hundred where the guest's code was never translated before or the host is busy. It is
// set again while that may have been more than clockSlack, clockTries times at most.
const (
	clockSlack = 30 * time.Millisecond
	clockTries = 8
)

// now is the host's clock.
func now() wire.Clock { return wire.Clock{UnixNano: time.Now().UnixNano()} }

// late is whether a start's message, which bore that clock and was just answered, may
// have been that long on its way: what of the time the guest's stages do not explain.
func late(sent wire.Clock, stages wire.Stages) bool {
	trip := time.Since(time.Unix(0, sent.UnixNano))
	for name, took := range stages {
		if name != "kernel" && name != "modules" { // they were before
			trip -= took
		}
	}
	return trip > clockSlack
}

// setClock sets the guest's clock as exactly as the link allows.
func (r *run) setClock() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := exactly(func(now time.Time) error { return r.link.SetClock(ctx, now) })
	if err != nil && !isDone(r.vm.Done()) {
		slog.Warn("cannot set the guest's clock", "error", err)
	}
}

// exactly sets a clock until that took no longer than it may be wrong by.
func exactly(set func(time.Time) error) error {
	for range clockTries {
		began := time.Now()
		if err := set(began); err != nil || time.Since(began) <= clockSlack {
			return err
		}
	}
	return nil
}

// began is when this process did, by both of the host's clocks.
var began = time.Now()

// hostSkew is how far the host's wall clock is from its steady one. It changes while the
// host is suspended, since only the wall clock goes on, and when that is set.
func hostSkew() time.Duration {
	now := time.Now()
	return now.Round(0).Sub(began.Round(0)) - now.Sub(began)
}

// followClock sets the guest's clock when the host's was moved: a guest counts as the
// steady clock does, and hears of nothing else. Before the start and during a pause it need not.
func (r *run) followClock() {
	skew := r.skew()
	if (skew - r.followed).Abs() <= clockSlack {
		return
	}
	r.followed = skew
	r.mu.Lock()
	runs := r.start == started && !r.paused
	r.mu.Unlock()
	if runs {
		r.setClock()
	}
}
