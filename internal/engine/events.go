package engine

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"aegis/client"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// Kinds of events.
const (
	eventCreated  = "created"
	eventStarting = "starting"
	eventRunning  = "running"
	eventPaused   = "paused"
	eventResumed  = "resumed"
	eventStopped  = "stopped"
	eventHeldBack = "held-back"
	eventDeleted  = "deleted"
	eventFellBack = "fell-back" // a start that could not be made from a template
	eventDenied   = "denied"    // to the guest, by its network's policy
	eventLost     = "lost"      // to one reader alone, who was too slow for some
)

// keptEvents is how many of the last events are remembered. Denials are apart, so
// that no guest can have the rest forgotten.
const (
	keptEvents  = 1000
	keptDenials = 200
)

// events is what has happened to all instances, numbered from 1 since the daemon
// began. Readers hold a number and no queue, so that a slow one costs nothing and
// holds back nobody.
type events struct {
	mu      sync.Mutex
	lives   ring
	denials ring
	last    uint64
	more    chan struct{} // closed at the next event; nil while nobody waits
}

// emit adds an event of an instance.
func (l *events) emit(kind string, rec store.Record, now time.Time) {
	e := client.Event{TS: now.UTC(), Event: kind, InstanceID: rec.ID, Name: rec.Spec.Name}
	if kind == eventStopped && rec.Exit != nil {
		e.Exit = renderExit(rec.Exit)
	}
	if kind == eventHeldBack {
		e.Until = moment(rec.HeldUntil)
	}
	l.add(e)
}

// note adds an event with its reason.
func (l *events) note(kind string, rec store.Record, why string) {
	l.add(client.Event{TS: time.Now().UTC(), Event: kind, InstanceID: rec.ID, Name: rec.Spec.Name, Reason: why})
}

// denied adds what a guest was refused.
func (l *events) denied(d *instance.Denial, rec store.Record, now time.Time) {
	l.add(client.Event{TS: now.UTC(), Event: eventDenied, InstanceID: rec.ID, Name: rec.Spec.Name, Denied: &client.Denial{
		Network: d.Network, Target: d.Target, Class: d.Class, Why: d.Why, Untold: d.Untold}})
}

func (l *events) add(e client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	if e.Event == eventDenied {
		l.denials.add(e, keptDenials)
	} else {
		l.lives.add(e, keptEvents)
	}
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// moved emits what the change of a record means, once it is saved.
func (l *events) moved(from, to store.Record, now time.Time) {
	if from.State != to.State {
		switch to.State {
		case instance.Starting:
			l.emit(eventStarting, to, now)
		case instance.Running:
			kind := eventRunning
			if from.State == instance.Paused {
				kind = eventResumed
			}
			l.emit(kind, to, now)
		case instance.Paused:
			l.emit(eventPaused, to, now)
		case instance.Stopped:
			l.emit(eventStopped, to, now)
		}
	}
	if to.HeldUntil.After(from.HeldUntil) {
		l.emit(eventHeldBack, to, now)
	}
}

// after gives the events behind a number, and says how many of them are forgotten
// already. Without any, more closes at the next.
func (l *events) after(seq uint64) (list []client.Event, lost uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list = append(l.lives.after(seq), l.denials.after(seq)...)
	slices.SortFunc(list, func(a, b client.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(list) == 0 && l.more == nil {
		l.more = make(chan struct{})
	}
	return list, l.last - seq - uint64(len(list)), l.more
}

// ring holds the last events that were added to it.
type ring struct {
	kept []client.Event
	next int // the oldest, once it is full
}

func (r *ring) add(e client.Event, size int) {
	if len(r.kept) < size {
		r.kept = append(r.kept, e)
		return
	}
	r.kept[r.next] = e
	r.next = (r.next + 1) % size
}

// after gives those behind a number, oldest first.
func (r *ring) after(seq uint64) (list []client.Event) {
	for i := range r.kept {
		if e := r.kept[(r.next+i)%len(r.kept)]; e.Seq > seq {
			list = append(list, e)
		}
	}
	return list
}

// Events gives the last events, oldest first, and with follow every later one
// until ctx or the engine ends. A reader who falls behind by more than a thousand
// gets one event "lost" in the place of those that are forgotten.
func (e *Engine) Events(ctx context.Context, follow bool) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		for seq, begun := uint64(0), false; ; begun = true {
			list, lost, more := e.events.after(seq)
			if lost > 0 && begun && !yield(client.Event{TS: time.Now().UTC(), Event: eventLost, Lost: lost}) {
				return
			}
			for _, event := range list {
				if !yield(event) {
					return
				}
				seq = event.Seq
			}
			if !follow {
				return
			}
			if len(list) > 0 {
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			case <-e.ctx.Done():
				return
			}
		}
	}
}
