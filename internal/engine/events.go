package engine

import (
	"context"
	"iter"
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
	eventLost     = "lost" // to one reader alone, who was too slow for some
)

// keptEvents is how many of the last events are remembered.
const keptEvents = 1000

// events is what has happened to all instances, numbered from 1 since the daemon
// began. Readers hold a number and no queue, so that a slow one costs nothing and
// holds back nobody.
type events struct {
	mu   sync.Mutex
	ring [keptEvents]client.Event
	last uint64
	more chan struct{} // closed at the next event; nil while nobody waits
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
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	l.ring[e.Seq%keptEvents] = e
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

// after gives the events behind a number, or says how many of them are forgotten
// already. Without any, more closes at the next.
func (l *events) after(seq uint64) (list []client.Event, lost uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.last - min(l.last, keptEvents); seq < oldest {
		lost, seq = oldest-seq, oldest
	}
	for seq++; seq <= l.last; seq++ {
		list = append(list, l.ring[seq%keptEvents])
	}
	if len(list) == 0 && l.more == nil {
		l.more = make(chan struct{})
	}
	return list, lost, l.more
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
