package broker

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Join has the helper carry a stream, whose socket it gets, to a TCP port of the
// guest's loopback. Once the guest has answered, the helper writes the greeting to the stream, and
// the caller closes its own descriptor. A *Refusal means that the helper has let
// the stream go as it was; after any other error nothing is known of it. It may be
// called by several goroutines at once, before Serve and after it.
func (s *Server) Join(ctx context.Context, stream net.Conn, port uint16, greeting []byte) error {
	id, out, answer, err := s.joins.begin()
	if err != nil {
		return err
	}
	defer s.joins.forget(id)
	out.reply(reply{Passed: true, Join: &join{ID: id, Port: port, Greeting: greeting}}, stream)
	select {
	case j, ok := <-answer:
		switch {
		case !ok:
			return errOver
		case j.Unanswered:
			return &Refusal{j.Error, ErrUnanswered}
		case j.Error != "":
			return &Refusal{j.Error, nil}
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refusal is why the helper does not carry a stream.
type Refusal struct {
	why   string
	cause error
}

// Error implements error.
func (r *Refusal) Error() string { return r.why }

// Unwrap is ErrUnanswered or nil.
func (r *Refusal) Unwrap() error { return r.cause }

// ErrUnanswered is the cause of a refusal where the guest said nothing at all.
var ErrUnanswered = errors.New("the guest does not answer")

var errOver = errors.New("the network's helper has gone")

// joins are the streams that the helper was asked to carry and has not answered for.
type joins struct {
	mu      sync.Mutex
	out     *writer // nil: nobody is there to be asked
	last    uint32
	waiting map[uint32]chan joined
}

func (j *joins) open(out *writer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.out, j.waiting = out, map[uint32]chan joined{}
}

func (j *joins) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, to := range j.waiting {
		close(to)
	}
	j.out, j.waiting = nil, nil
}

func (j *joins) begin() (uint32, *writer, <-chan joined, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.out == nil {
		return 0, nil, nil, errOver
	}
	j.last++
	to := make(chan joined, 1)
	j.waiting[j.last] = to
	return j.last, j.out, to, nil
}

// answer takes the first answer to each and no other.
func (j *joins) answer(a joined) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if to, ok := j.waiting[a.ID]; ok {
		delete(j.waiting, a.ID)
		to <- a
	}
}

func (j *joins) forget(id uint32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.waiting, id)
}
