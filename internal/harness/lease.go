//go:build linux

package harness

import (
	"fmt"
	"io"
	"time"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// askTime bounds how long a caller waits for the host, which may just be about to
// begin its watch, or hold back a guest that asks too often.
const askTime = 5 * time.Second

// lease is the instance's, as callers see it.
type lease struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// question is an event on its way to the host. Its answer is closed without a word
// when the host's watch ends first.
type question struct {
	event  wire.GuestEvent
	answer chan wire.EventReply // has room for the one that comes
}

// watch serves the host's watch: one question after the other, until its stream ends.
func (s *self) watch(stream io.ReadWriter) error {
	if err := done(stream, nil); err != nil {
		return nil
	}
	for id := uint64(1); ; id++ {
		q := <-s.asks
		q.event.ID = id
		reply, err := put(stream, q.event)
		if err != nil {
			say("ask the host: %v", err)
			close(q.answer)
			return nil
		}
		s.settle(q.event, reply)
		q.answer <- reply
	}
}

// put asks the host one thing.
func put(stream io.ReadWriter, e wire.GuestEvent) (reply wire.EventReply, err error) {
	if err = wire.WriteMessage(stream, e, wire.MaxReply); err == nil {
		err = wire.ReadMessage(stream, &reply, wire.MaxReply)
	}
	if err == nil && reply.ID != e.ID {
		err = fmt.Errorf("the answer to event %d says it is for %d", e.ID, reply.ID)
	}
	return reply, err
}

// settle keeps what the host has agreed to, also when the caller waits no more.
func (s *self) settle(e wire.GuestEvent, reply wire.EventReply) {
	if reply.Error != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease{}
	if e.Lease != nil {
		s.lease = lease{Until: reply.Until, Reason: e.Lease.Reason}
	}
}

// held is the lease that counts now, or nil.
func (s *self) held() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lease; time.Now().Before(l.Until) {
		return &l
	}
	return nil
}

// ask passes an event to the host and waits for its answer. One that comes too late
// still counts.
func (s *self) ask(e wire.GuestEvent) (wire.EventReply, error) {
	late := time.NewTimer(askTime)
	defer late.Stop()
	q := question{event: e, answer: make(chan wire.EventReply, 1)}
	select {
	case s.asks <- q:
	case <-late.C:
		return wire.EventReply{}, fault.New(fault.Unreachable, "", "ask the host", "it does not listen to this instance")
	}
	select {
	case reply, ok := <-q.answer:
		switch {
		case !ok:
			return reply, fault.New(fault.Unreachable, "", "ask the host", "it listens to this instance no more")
		case reply.Error != nil:
			return reply, &fault.Error{Kind: reply.Error.Kind, What: "ask the host", Why: reply.Error.Why}
		}
		return reply, nil
	case <-late.C:
		return wire.EventReply{}, fault.New(fault.Timeout, "", "ask the host", "it did not answer in time")
	}
}
