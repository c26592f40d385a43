package guest

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// watched is a watch of a guest that does as the script says.
func watched(t *testing.T, script func(*yamux.Stream)) *Watch {
	t.Helper()
	w, err := scripted(t, wire.Reply{}, script).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWatch(t *testing.T) {
	asked := []wire.GuestEvent{
		{ID: 7, Lease: &wire.Lease{For: time.Minute, Reason: "work"}},
		{ID: 8, Release: true},
	}
	replies := make(chan wire.EventReply, 2)
	w := watched(t, func(s *yamux.Stream) {
		for _, e := range asked {
			wire.WriteMessage(s, e, wire.MaxReply)
			var r wire.EventReply
			if wire.ReadMessage(s, &r, wire.MaxReply) == nil {
				replies <- r
			}
		}
		s.CloseWrite()
	})
	for _, want := range asked {
		e, err := w.Next()
		if err != nil || e.ID != want.ID || e.Release != want.Release || (e.Lease != nil && *e.Lease != *want.Lease) {
			t.Fatalf("%+v, %v; want %+v", e, err, want)
		}
		until := time.Unix(int64(e.ID), 0).UTC()
		if err := w.Answer(wire.EventReply{ID: e.ID, Until: until}); err != nil {
			t.Fatal(err)
		}
		if r := <-replies; r.ID != want.ID || !r.Until.Equal(until) {
			t.Errorf("the guest got %+v", r)
		}
	}
	if _, err := w.Next(); !fault.Is(err, fault.Internal) || strings.HasSuffix(err.Error(), ": EOF") {
		t.Errorf("after the end: %v", err)
	}
}

// TestWatchRefuses lists what no honest guest asks. The stream ends, the link does not.
func TestWatchRefuses(t *testing.T) {
	for name, message := range map[string]string{
		"too long":   "\x00\x01\x00\x01" + strings.Repeat(" ", 1<<16) + "1",
		"huge":       "\xff\xff\xff\xff",
		"no JSON":    "\x00\x00\x00\x01{",
		"nothing":    "\x00\x00\x00\x08{\"id\":1}",
		"for ever":   "\x00\x00\x00\x24{\"lease\":{\"for_ns\":9000000000000000}}",
		"half":       "\x00\x00\x00\x24{",
		"other JSON": "\x00\x00\x00\x02[]",
	} {
		ended := make(chan error, 1)
		l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {
			s.Write([]byte(message))
			s.CloseWrite()
			_, err := s.Read(make([]byte, 1))
			ended <- err
		})
		w, err := l.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e, err := w.Next(); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: the stream goes on", name)
		}
		if _, err := l.Stats(t.Context()); err != nil {
			t.Errorf("%s: the link has ended: %v", name, err)
		}
	}
}

// TestWatchHoldsBack is a guest that asks without end.
func TestWatchHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, peer := net.Pipe()
		go serveScript(peer, wire.Reply{}, func(s *yamux.Stream) {
			for wire.WriteMessage(s, wire.GuestEvent{Release: true}, wire.MaxReply) == nil {
			}
		})
		l, err := Open(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		w, err := l.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count := func(d time.Duration) (n int) {
			for end := time.Now().Add(d); time.Now().Before(end); n++ {
				if _, err := w.Next(); err != nil {
					t.Fatal(err)
				}
			}
			return n
		}
		if n := count(10 * time.Second); n < 39 || n > 42 {
			t.Errorf("%d events in ten seconds, want a burst of 20 and then two a second", n)
		}
		if n := count(100 * time.Second); n < 199 || n > 202 {
			t.Errorf("%d events in a hundred seconds, want two a second", n)
		}
		time.Sleep(time.Hour)
		if n := count(time.Second); n < 21 || n > 24 {
			t.Errorf("%d events at once after an hour, want a burst of 20 and no more", n)
		}
	})
}

// FuzzWatch has a guest send anything: events come out within their bounds, or an error.
func FuzzWatch(f *testing.F) {
	var good bytes.Buffer
	wire.WriteMessage(&good, wire.GuestEvent{ID: 1, Lease: &wire.Lease{For: time.Hour, Reason: "x"}}, wire.MaxReply)
	wire.WriteMessage(&good, wire.GuestEvent{ID: 2, Release: true}, wire.MaxReply)
	f.Add(good.Bytes())
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := watched(t, func(s *yamux.Stream) { s.Write(data); s.CloseWrite() })
		for range eventBurst {
			e, err := w.Next()
			if err != nil {
				return
			}
			if e.Check() != nil {
				t.Errorf("%+v", e)
			}
		}
	})
}
