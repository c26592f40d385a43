package broker

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"aegis/internal/egress"
	"aegis/internal/wire"
)

// A stream goes to the helper with its socket, and the answers to the shim.
func TestJoin(t *testing.T) {
	w := &world{}
	c := begin(t, w, egress.ModePublic, nil, nil)
	attended(w.server)
	for i, answer := range []error{nil, errors.New("refused"), context.DeadlineExceeded} {
		client, stream := sockets(t)
		done := make(chan error, 1)
		go func() { done <- w.server.Join(context.Background(), stream, uint16(80+i), []byte("hello")) }()
		a := <-c.Arrivals()
		if a.Port != uint16(80+i) || string(a.Greeting) != "hello" {
			t.Errorf("%+v", a)
		}
		a.Conn.Write([]byte("from the helper"))
		a.Conn.Close()
		a.Done(answer)
		err := <-done
		refusal := (*Refusal)(nil)
		if (err == nil) != (answer == nil) || errors.As(err, &refusal) == (answer == nil) || errors.Is(err, ErrUnanswered) != (i == 2) {
			t.Errorf("%v: %v", answer, err)
		}
		stream.Close()
		if got, err := io.ReadAll(client); string(got) != "from the helper" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// attended waits until Serve runs.
func attended(s *Server) {
	for {
		s.joins.mu.Lock()
		out := s.joins.out
		s.joins.mu.Unlock()
		if out != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// A helper that was taken over answers for streams that nobody asked about, twice, and
// then no more: nobody waits for it.
func TestHostileJoins(t *testing.T) {
	ours, theirs := sockets(t)
	s := &Server{Policy: egress.New(egress.Rules{Mode: egress.ModePublic})}
	served := make(chan struct{})
	go func() { s.Serve(t.Context(), ours); close(served) }()
	attended(s)
	for _, id := range []uint32{7, 7, 8, 8} {
		wire.WriteMessage(theirs, request{Joined: &joined{ID: id}}, maxRequest)
	}
	_, stream := sockets(t)
	done := make(chan error, 1)
	go func() { done <- s.Join(context.Background(), stream, 80, nil) }()
	in := &reader{conn: theirs}
	defer in.drop()
	var rep reply
	if err := wire.ReadMessage(in, &rep, maxReply); err != nil || rep.Join == nil {
		t.Fatalf("%+v, %v", rep, err)
	}
	theirs.Close()
	select {
	case err := <-done:
		if refusal := (*Refusal)(nil); err == nil || errors.As(err, &refusal) {
			t.Errorf("%v", err) // the stream may be in use
		}
	case <-time.After(20 * time.Second):
		t.Error("Join waits for a helper that has gone")
	}
	<-served
	if err := s.Join(t.Context(), stream, 80, nil); !errors.Is(err, errOver) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ours, _ = sockets(t)
	go s.Serve(t.Context(), ours)
	attended(s)
	if err := s.Join(ctx, stream, 80, nil); !errors.Is(err, context.Canceled) { // a helper that never answers
		t.Errorf("%v", err)
	}
}
