package guest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// A guest may ask for eventBurst things at once and then for one each eventPause:
// far more than a lease needs, and nothing that a host would feel. What it sends
// beyond that waits in the stream's window, and then in the guest.
const (
	eventBurst = 20
	eventPause = 500 * time.Millisecond
)

// Watch is the stream on which the guest asks for something. One goroutine calls
// Next and Answer in turn; Close may be called by any.
type Watch struct {
	stream *yamux.Stream
	paid   time.Time // until when the events so far have used up the allowance
}

// Watch begins to hear the guest. It is for after Start. ctx bounds the guest's
// first reply alone.
func (l *Link) Watch(ctx context.Context) (*Watch, error) {
	stream, _, err := l.open(ctx, "hear the guest", wire.Request{Op: wire.OpWatch})
	if err != nil {
		return nil, err
	}
	return &Watch{stream: stream}, nil
}

// Next gives what the guest asks for, within wire's bounds, and no more often than
// it may. Whatever breaks the protocol ends the stream, and the guest can ask for
// nothing any more; its VM goes on.
func (w *Watch) Next() (wire.GuestEvent, error) {
	time.Sleep(time.Until(w.paid.Add(-eventBurst * eventPause)))
	var e wire.GuestEvent
	err := wire.ReadMessage(w.stream, &e, wire.MaxReply)
	if err == nil {
		err = e.Check()
	}
	if err != nil {
		w.Close()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return wire.GuestEvent{}, fault.New(fault.Internal, "", "hear the guest", "its stream has ended: %w", err)
	}
	if now := time.Now(); w.paid.Before(now) {
		w.paid = now
	}
	w.paid = w.paid.Add(eventPause)
	return e, nil
}

// Answer replies to the event that Next gave. A guest that does not read its
// replies holds back nothing but its own next event.
func (w *Watch) Answer(r wire.EventReply) error {
	if err := wire.WriteMessage(w.stream, r, wire.MaxReply); err != nil {
		return fault.New(fault.Internal, "", "answer the guest", "its stream has ended: %w", err)
	}
	return nil
}

// Close ends the stream. It is idempotent.
func (w *Watch) Close() { w.stream.Reset() }
