package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// told are the events so far, as words.
func (w *world) told() string {
	var words []string
	for e := range w.Events(w.t.Context(), false) {
		word := e.Event
		if e.Exit != nil {
			word += "(" + e.Exit.Reason + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestEventsOfALife(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web", PauseAfter: "1m", StopAfter: "1m", Expose: []string{"80"}})
		time.Sleep(61 * time.Second)
		if err := w.Resume(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if err := w.Delete(t.Context(), "web", false); err != nil {
			t.Fatal(err)
		}
		want := "created starting running paused resumed paused stopped(idle) deleted"
		if got := w.told(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		last := slices.Collect(w.Events(t.Context(), false))[7]
		if last.Seq != 8 || last.Name != "web" || !strings.HasPrefix(last.InstanceID, "inst-") || last.TS.IsZero() {
			t.Errorf("%+v", last)
		}
	})
}

func TestWakesAreTold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		var told []string
		w.Woke = func(from instance.State, took time.Duration) { told = append(told, fmt.Sprint(from, " ", took)) }
		w.launcher.bootTime = time.Second
		w.started(client.Create{Name: "web"})
		w.Pause(t.Context(), "web")
		w.Resume(t.Context(), "web")
		if got := strings.Join(told, ", "); got != "STOPPED 1s, PAUSED 0s" {
			t.Error(got)
		}
	})
}

func TestEventsOfACommandThatKeepsFailing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web", Restart: "always", PauseAfter: "never"})
		for range quickEnds {
			w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		got := w.told()
		if want := strings.Repeat(" starting running stopped(exited)", quickEnds) + " held-back"; got != "created"+want {
			t.Errorf("%s", got)
		}
		all := slices.Collect(w.Events(t.Context(), false))
		if until := all[len(all)-1].Until; until == nil || !until.After(time.Now()) {
			t.Errorf("held until %v", until)
		}
	})
}

func TestEventsOfAnAdoption(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web"})
		life := w.launcher.only(t)
		w.leave()
		life.die(instance.Exit{Reason: instance.VMDied})
		w.open()
		if got := w.told(); got != "stopped(vm-died)" {
			t.Error(got)
		}
	})
}

// TestEventsFollowed holds that a follower gets the past, the present, and an end
// with its context.
func TestEventsFollowed(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan client.Event)
		go func() {
			defer close(got)
			for e := range w.Events(ctx, true) {
				got <- e
			}
		}()
		if e := <-got; e.Name != "a" {
			t.Errorf("%+v", e)
		}
		synctest.Wait()
		w.create(client.Create{Name: "b"})
		if e := <-got; e.Name != "b" || e.Event != "created" {
			t.Errorf("%+v", e)
		}
		cancel()
		if e, ok := <-got; ok {
			t.Errorf("after the end: %+v", e)
		}
	})
}

// TestSlowFollowerIsToldWhatItLost holds the bound of memory, and that nobody waits.
func TestSlowFollowerIsToldWhatItLost(t *testing.T) {
	e := New(Parts{})
	defer e.Close()
	emit := func(n int) {
		for range n {
			e.events.emit(eventCreated, store.Record{}, time.Now())
		}
	}
	emit(3)
	var seen []string
	for event := range e.Events(t.Context(), true) {
		switch {
		case event.Seq == 3:
			emit(keptEvents + 5) // while it does not read
		case event.Event == eventLost:
			seen = append(seen, fmt.Sprintf("lost %d", event.Lost))
			continue
		case event.Seq == 3+keptEvents+5:
			seen = append(seen, fmt.Sprint(event.Seq))
		case event.Seq == 9:
			seen = append(seen, "9")
		}
		if event.Seq == 3+keptEvents+5 {
			break
		}
	}
	if got := strings.Join(seen, ", "); got != "lost 5, 9, 1008" {
		t.Error(got)
	}
	// who comes late has lost nothing that it could have had
	if list := slices.Collect(e.Events(t.Context(), false)); len(list) != keptEvents || list[0].Seq != 9 {
		t.Errorf("%d events from %d", len(list), list[0].Seq)
	}
}

// A guest that is refused much is told of, and has nothing else forgotten.
func TestDenialsAreEvents(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web"})
		life := w.launcher.only(t)
		for i := range keptEvents + 5 {
			life.reports <- instance.Report{Denied: &instance.Denial{Network: "tcp", Target: "10.0.0.1:80", Class: "private", Why: "no", Untold: i}}
		}
		synctest.Wait()
		all := slices.Collect(w.Events(t.Context(), false))
		if len(all) != 3+keptDenials || all[0].Event != "created" || all[2].Event != "running" {
			t.Fatalf("%d events, first %s", len(all), all[0].Event)
		}
		last := all[len(all)-1]
		want := client.Denial{Network: "tcp", Target: "10.0.0.1:80", Class: "private", Why: "no", Untold: keptEvents + 4}
		if last.Event != "denied" || last.Name != "web" || last.Seq != 3+keptEvents+5 || last.Denied == nil || *last.Denied != want {
			t.Errorf("%+v %+v", last, last.Denied)
		}
		for i, e := range all[3:] {
			if e.Seq != uint64(3+keptEvents+5-keptDenials+i+1) {
				t.Fatalf("event %d has number %d", i, e.Seq)
			}
		}
	})
}
