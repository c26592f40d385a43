package shim

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/instance"
	"aegis/internal/wire"
)

// asking is a guest whose watch is in the test's hands.
func asking() (script, <-chan *yamux.Stream) {
	watch := make(chan *yamux.Stream, 1)
	return on(wire.OpWatch, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		watch <- s
	}), watch
}

// ask has the guest ask for something and gives the host's answer.
func ask(t *testing.T, s *yamux.Stream, e wire.GuestEvent) (r wire.EventReply) {
	t.Helper()
	s.SetDeadline(time.Now().Add(patience))
	if err := wire.WriteMessage(s, e, wire.MaxReply); err != nil {
		t.Fatal(err)
	}
	if err := wire.ReadMessage(s, &r, wire.MaxReply); err != nil {
		t.Fatal(err)
	}
	return r
}

// lease waits for the next report of one.
func (w *world) lease(c *Client) instance.Lease {
	w.t.Helper()
	late := time.After(patience)
	for {
		select {
		case r, ok := <-c.Reports():
			if !ok {
				w.t.Fatal("the run has ended")
			}
			if r.Lease != nil {
				return *r.Lease
			}
		case <-late:
			w.t.Fatal("no lease is reported")
		}
	}
}

func TestGuestLease(t *testing.T) {
	s, watch := asking()
	w := begin(t, s, nil)
	w.mustStart(false)
	guest := <-watch
	began := time.Now()
	r := ask(t, guest, wire.GuestEvent{ID: 5, Lease: &wire.Lease{For: time.Hour, Reason: "work"}})
	if r.ID != 5 || r.Error != nil || r.Until.Before(began.Add(time.Hour)) || r.Until.After(time.Now().Add(time.Hour)) {
		t.Errorf("the guest is told %+v", r)
	}
	want := instance.Lease{Until: r.Until, Reason: "work"}
	if got := w.lease(w.client); got != want {
		t.Errorf("the daemon is told %+v, want %+v", got, want)
	}
	second, status, err := Connect(t.Context(), w.dir)
	if err != nil || status.Lease == nil || *status.Lease != want {
		t.Fatalf("the next daemon is told %+v, %v", status.Lease, err)
	}
	defer second.Leave()
	if r := ask(t, guest, wire.GuestEvent{ID: 6, Release: true}); r.ID != 6 || !r.Until.IsZero() {
		t.Errorf("the guest is told %+v", r)
	}
	for _, c := range []*Client{w.client, second} {
		if got := w.lease(c); got != (instance.Lease{}) {
			t.Errorf("after the release: %+v", got)
		}
	}
}

// A daemon that reads nothing for a while, and then everything, knows the last lease.
func TestLeaseIsNeverDropped(t *testing.T) {
	s, watch := asking()
	w := begin(t, s, nil)
	w.mustStart(false)
	guest := <-watch
	var last wire.EventReply
	for i := range 15 {
		w.run.broadcast(instance.Report{Busy: true})
		last = ask(t, guest, wire.GuestEvent{Lease: &wire.Lease{For: time.Duration(i+1) * time.Minute, Reason: "work"}})
		w.run.broadcast(instance.Report{Busy: true})
	}
	for got := w.lease(w.client); !got.Until.Equal(last.Until); got = w.lease(w.client) {
	}
}

// A guest that breaks the protocol is heard no more, and lives on with what it has.
func TestSillyGuestLivesOn(t *testing.T) {
	s, watch := asking()
	w := begin(t, s, nil)
	w.mustStart(false)
	guest := <-watch
	ask(t, guest, wire.GuestEvent{Lease: &wire.Lease{For: time.Hour, Reason: "work"}})
	wire.WriteMessage(guest, wire.GuestEvent{Lease: &wire.Lease{For: 1000 * time.Hour, Reason: strings.Repeat("x", 1000)}}, wire.MaxReply)
	if n, err := guest.Read(make([]byte, 1)); err == nil {
		t.Errorf("it is answered with %d bytes", n)
	}
	if got := w.lease(w.client); got.Reason != "work" {
		t.Errorf("%+v", got)
	}
	if err := w.client.Stop(t.Context(), time.Second, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Reason != instance.StoppedBy || exit.Signal != 15 {
		t.Errorf("%+v", exit)
	}
}

// A receiver that takes nothing delays neither the shim nor the run's end.
func TestNobodyTakesReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		daemon, shim := net.Pipe()
		c := &Client{watch: daemon, reports: make(chan instance.Report, 1), ended: make(chan struct{})}
		go c.listen()
		for range 100 {
			tell(shim, instance.Report{Busy: true})
			tell(shim, instance.Report{Lease: &instance.Lease{Reason: "x"}})
		}
		want := instance.Exit{Reason: instance.Exited, Code: 3}
		if err := tell(shim, instance.Report{Exit: &want}); err != nil {
			t.Fatal(err)
		}
		<-c.ended
		if synctest.Wait(); c.exit != want {
			t.Errorf("%+v", c.exit)
		}
	})
}

func TestNewsAreToldOnce(t *testing.T) {
	n := newNews()
	for range 3 {
		n.add(instance.Report{Busy: true})
		n.add(instance.Report{Lease: &instance.Lease{Reason: "x"}})
	}
	if <-n.some; len(n.take()) != 2 || len(n.take()) != 0 || len(n.some) != 0 {
		t.Error("news are told twice, or not")
	}
}
