package shim

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/wire"
)

func TestClockIsSetUntilItIsRight(t *testing.T) {
	for _, c := range []struct {
		trips []time.Duration
		want  int
	}{
		{[]time.Duration{clockSlack}, 1},
		{[]time.Duration{clockSlack + 1, time.Second, time.Millisecond, time.Second}, 3},
		{[]time.Duration{99, 99, 99, 99, 99, 99, 99, 99, 99, 99}, 1},
		{make([]time.Duration, 1), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			err := exactly(func(at time.Time) error {
				if !at.Equal(time.Now()) {
					t.Errorf("the clock is set to %s at %s", at, time.Now())
				}
				time.Sleep(c.trips[n])
				n++
				return nil
			})
			if err != nil || n != c.want {
				t.Errorf("%v: set %d times, %v", c.trips, n, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n, bad := 0, errors.New("gone")
		if err := exactly(func(time.Time) error { n++; time.Sleep(time.Second); return nil }); err != nil || n != clockTries {
			t.Errorf("on a slow link it is set %d times, %v", n, err)
		}
		if err := exactly(func(time.Time) error { n++; return bad }); err != bad || n != clockTries+1 {
			t.Errorf("a guest that is gone is asked %d times, %v", n-clockTries, err)
		}
	})
}

func TestLateIsWhatTheGuestDoesNotExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := now()
		time.Sleep(200 * time.Millisecond)
		for _, c := range []struct {
			stages wire.Stages
			want   bool
		}{
			{wire.Stages{"disk": 100 * time.Millisecond, "exec": 70 * time.Millisecond}, false},
			{wire.Stages{"disk": 100 * time.Millisecond, "exec": 69 * time.Millisecond}, true},
			{wire.Stages{"disk": 100 * time.Millisecond, "kernel": 70 * time.Millisecond}, true},
			{nil, true},
		} {
			if got := late(sent, c.stages); got != c.want {
				t.Errorf("%v: %t", c.stages, got)
			}
		}
	})
}

// TestClockFollowsTheHosts suspends the host: its wall clock is hours ahead of the steady
// one, by which the guest counts. The guest's is set once, and not while all goes on.
func TestClockFollowsTheHosts(t *testing.T) {
	var skew atomic.Int64
	sets := make(chan time.Time, 8)
	w := begin(t, script{
		skew: func() time.Duration { return time.Duration(skew.Load()) },
		on: map[wire.Op]operation{wire.OpClock: func(_ *scripted, s *yamux.Stream, req wire.Request) {
			sets <- time.Unix(0, req.Clock.UnixNano)
			tellHost(s, wire.Reply{})
		}},
	}, nil)
	w.mustStart(false)
	for len(sets) > 0 { // a start on a busy host
		<-sets
	}
	skew.Store(int64(clockSlack))
	select {
	case at := <-sets:
		t.Errorf("set to %s though the host's clock went on", at)
	case <-time.After(2 * sampleEvery):
	}
	skew.Store(int64(3 * time.Hour))
	select {
	case at := <-sets:
		if off := time.Since(at).Abs(); off > patience {
			t.Errorf("set to %s, %s from the host's", at, off)
		}
	case <-time.After(patience):
		t.Fatal("it is not set after the host slept")
	}
	select {
	case at := <-sets:
		t.Errorf("set again to %s", at)
	case <-time.After(2 * sampleEvery):
	}
}

// TestSkewIsOfTheWallClock moves the wall clock alone.
func TestSkewIsOfTheWallClock(t *testing.T) {
	if skew := hostSkew().Abs(); skew > time.Hour {
		t.Fatalf("the skew is %s", skew)
	}
	was := began
	defer func() { began = was }()
	began = began.Add(-3 * time.Hour) // of both clocks
	if skew := hostSkew().Abs(); skew > time.Hour {
		t.Errorf("after three hours it is %s", skew)
	}
}
