package shim

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
