package shim

import (
	"log/slog"
	"time"
)

// settleTime is how long the output that a stopped guest has left may take to
// reach the log and its clients.
const settleTime = 4 * time.Second

// relaying counts one output that is being passed on.
func (r *run) relaying() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settles {
		return func() {}
	}
	r.relays.Add(1)
	return r.relays.Done
}

// settle waits until all that processes have written was passed on.
func (r *run) settle() {
	passed := make(chan struct{})
	r.mu.Lock()
	r.settles = true
	r.mu.Unlock()
	go func() {
		r.relays.Wait()
		close(passed)
	}()
	select {
	case <-passed:
	case <-time.After(settleTime):
		slog.Warn("a client reads too slowly: the end of an output is lost")
	}
}
