package engine

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// onItsWay is a run that was dismissed, and whose VM takes its time.
func onItsWay(t *testing.T, w *world, expose ...string) (view client.Instance, let func()) {
	t.Helper()
	stuck := make(chan struct{})
	w.launcher.stuck = stuck
	view = w.create(client.Create{Name: "run", Ephemeral: true, Expose: expose})
	conn, _, err := w.Run(t.Context(), "run")
	if err != nil {
		t.Fatal(err)
	}
	w.launcher.stuck = nil
	conn.Close()
	if err := w.Dismiss(t.Context(), view.ID); err != nil {
		t.Fatal(err)
	}
	return view, func() { close(stuck) }
}

// TestDismiss deletes a run behind the answer: nobody finds it any more, and its name
// and its port are had by the next as soon as they are free.
func TestDismiss(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		view, let := onItsWay(t, w, "8000:80")
		for _, ref := range []string{"run", view.ID, view.ID[:10]} {
			w.want(ref, "gone")
			if err := w.Dismiss(t.Context(), ref); !fault.Is(err, fault.NotFound) {
				t.Errorf("dismiss %s again: %v", ref, err)
			}
		}
		if list, err := w.List(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("the list: %v %v", list, err)
		}
		if n := w.ports.listening(); n != 0 {
			t.Errorf("%d ports listen", n)
		}
		made := make(chan error, 2)
		for _, c := range []client.Create{{Name: "run"}, {Name: "other", Expose: []string{"8000:80"}}} {
			go func() {
				_, err := w.Create(t.Context(), c)
				made <- err
			}()
		}
		w.create(client.Create{Name: "unlike", Expose: []string{"80"}}) // waits for nothing
		synctest.Wait()
		if len(made) != 0 {
			t.Errorf("made while the run's VM is there: %v", <-made)
		}
		needs := make(chan Needs, 1)
		go func() {
			n, _ := w.Needs(t.Context())
			needs <- n
		}()
		synctest.Wait()
		if len(needs) != 0 {
			t.Errorf("what is needed was said while the run's disk is there: %+v", <-needs)
		}
		let()
		for range 2 {
			if err := <-made; err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(view.Workspace.Path); !os.IsNotExist(err) {
			t.Errorf("the temporary workspace: %v", err)
		}
		if n := w.launcher.running(); n != 0 {
			t.Errorf("%d VMs run", n)
		}
	})
}

// TestDismissWaitsNoLongerThanItsCaller gives up where a run's end does not come.
func TestDismissWaitsNoLongerThanItsCaller(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, let := onItsWay(t, w)
		defer let()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Create(ctx, client.Create{Name: "run"}); !fault.Is(err, fault.Timeout) {
			t.Errorf("the name of a run that does not end: %v", err)
		}
	})
}

// TestDismissIsFinishedByTheNextDaemon has a daemon end while a run goes on, or is on
// its way.
func TestDismissIsFinishedByTheNextDaemon(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		view, let := onItsWay(t, w)
		go w.Engine.Close()
		synctest.Wait() // every actor has ended
		let()
		w.leave()
		w.open()
		w.create(client.Create{Name: "run"})
		if _, err := os.Stat(view.Workspace.Path); !os.IsNotExist(err) {
			t.Errorf("the temporary workspace: %v", err)
		}
	})
	in(t, func(t *testing.T, w *world) {
		stuck := make(chan struct{})
		w.launcher.stuck = stuck
		w.create(client.Create{Name: "run", Ephemeral: true})
		conn, _, err := w.Run(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		w.leave()
		conn.(*attached).Stream.Close() // as the end of its daemon does
		w.open()
		synctest.Wait()
		w.want("run", "gone")
		close(stuck)
		w.create(client.Create{Name: "run"})
		if n := w.launcher.running(); n != 0 {
			t.Errorf("%d VMs run", n)
		}
	})
}

// TestDismissOfOthers deletes what is no run, and waits.
func TestDismissOfOthers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		view := w.started(client.Create{Name: "kept"})
		if err := w.Dismiss(t.Context(), "kept"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(w.home.Instance(view.ID).Dir); !os.IsNotExist(err) || view.State != string(instance.Running) {
			t.Errorf("it is there still: %v", err)
		}
		w.create(client.Create{Name: "fresh", Ephemeral: true})
		if err := w.Dismiss(t.Context(), "fresh"); err != nil || w.state("fresh") != "gone" {
			t.Errorf("one that never ran: %v", err)
		}
	})
}
