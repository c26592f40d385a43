package shim

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/egress"
	"aegis/internal/instance"
	"aegis/internal/netstack"
	"aegis/internal/shim/broker"
	"aegis/internal/wire"
)

// byNetwork is a run with a helper that is the test's. Its guest says whether it takes streams
// over its network, of which port 80 is one.
func byNetwork(t *testing.T, takes bool) (*world, <-chan netstack.Arrival) {
	t.Helper()
	begun := func(g *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{Ingress: takes})
		<-g.term
		wire.WriteExit(s, wire.Exit{Signal: 15})
	}
	dial := func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		io.WriteString(s, "by the link")
		s.CloseWrite()
	}
	w := begin(t, script{on: map[wire.Op]operation{wire.OpStart: begun, wire.OpDial: dial}}, func(l *instance.Launch) {
		withNetwork(l)
		l.Assignment.Ports = []uint16{80}
	})
	w.mustStart(false)
	w.nic = true // the fake monitor has none
	ours, theirs := pair(t)
	server := broker.NewServer(egress.New(egress.Rules{Mode: egress.ModePublic}), &w.network.host)
	server.Counts = func(broker.Counts) {}
	client := broker.NewClient(theirs)
	go server.Serve(t.Context(), ours)
	go client.Run()
	client.Count(broker.Counts{})
	w.network.serves(server)
	return w, client.Arrivals()
}

// answered is what a client of a port gets in the end.
func (w *world) answered(port uint16) string {
	w.t.Helper()
	conn, err := w.client.Dial(w.t.Context(), port, time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	got, _ := io.ReadAll(conn)
	return string(got)
}

// What the network's helper takes goes past the shim; the rest goes by the link, and a guest
// that did not answer is left alone for a while.
func TestIngress(t *testing.T) {
	w, arrivals := byNetwork(t, true)
	var mu sync.Mutex
	took := 0
	var answer error
	go func() {
		for a := range arrivals {
			mu.Lock()
			took++
			if answer == nil {
				a.Conn.Write(append(a.Greeting, "by the network"...))
			}
			a.Conn.Close()
			a.Done(answer)
			mu.Unlock()
		}
	}()
	for _, c := range []struct {
		port   uint16
		answer error
		want   string
		took   int
	}{
		{80, nil, "by the network", 1},
		{81, nil, "by the link", 1}, // not exposed
		{80, errors.New("refused"), "by the link", 2},
		{80, nil, "by the network", 3},
		{80, context.DeadlineExceeded, "by the link", 4},
		{80, nil, "by the link", 4},
	} {
		mu.Lock()
		answer = c.answer
		mu.Unlock()
		got := w.answered(c.port)
		mu.Lock()
		if got != c.want || took != c.took {
			t.Errorf("%+v: %q, the helper was asked %d times", c, got, took)
		}
		mu.Unlock()
	}
	if w.network.carrier(80, time.Now().Add(ingressRest+time.Second)) == nil {
		t.Error("it is left alone for ever")
	}
}

// A guest that can't take them is reached by the link alone.
func TestIngressIsNotTaken(t *testing.T) {
	w, _ := byNetwork(t, false)
	if got := w.answered(80); got != "by the link" {
		t.Errorf("%q", got)
	}
}

// The guest is told of streams where it has a device, and of few ports.
func TestIngressIsTold(t *testing.T) {
	many := make([]uint16, 100)
	for i := range many {
		many[i] = uint16(i + 1)
	}
	n := newNetwork(instance.Assignment{Net: &instance.Net{}, Ports: many})
	if in := n.guest(true).Ingress; in == nil || len(in.Ports) != maxIngress || in.First != netstack.FirstIngress || in.Last != netstack.LastIngress {
		t.Errorf("%+v", in)
	}
	if n.guest(false).Ingress != nil || newNetwork(instance.Assignment{Net: &instance.Net{}}).guest(true).Ingress != nil {
		t.Error("told without a device, or without a port")
	}
	if n.carrier(maxIngress+1, time.Now()) != nil || (*network)(nil).carrier(80, time.Now()) != nil {
		t.Error("a port that the guest was not told of")
	}
}
