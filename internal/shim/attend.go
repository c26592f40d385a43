package shim

import (
	"context"
	"log/slog"
	"time"

	"aegis/internal/instance"
	"aegis/internal/wire"
)

// attend hears what the guest asks for, from its start to its end. A guest that
// breaks the protocol is heard no more, and keeps the lease that it has.
func (r *run) attend() {
	w, err := r.link.Watch(context.Background()) // the end of the link ends it
	for err == nil {
		var event wire.GuestEvent
		if event, err = w.Next(); err == nil {
			err = w.Answer(r.grant(event))
		}
	}
	if w != nil {
		w.Close()
	}
	if !isDone(r.link.Done()) && !isDone(r.vm.Done()) {
		slog.Warn("the guest is heard no more", "error", err)
	}
}

// grant gives the guest the lease that it asks for, or drops it. Its time is the
// host's wall clock, which the daemon and its successors share.
func (r *run) grant(event wire.GuestEvent) wire.EventReply {
	var lease instance.Lease
	if event.Lease != nil {
		lease = instance.Lease{Until: time.Now().Add(event.Lease.For).Round(0).UTC(), Reason: event.Lease.Reason}
	}
	r.mu.Lock()
	r.lease = &lease
	r.mu.Unlock()
	r.broadcast(instance.Report{Lease: &lease})
	return wire.EventReply{ID: event.ID, Until: lease.Until}
}
