package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// A daemon that is killed after the command began and before it could remember that
// must not lose the instance when that stops for the first time.
func TestAdoptedFirstStartIsKept(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box"})
		a, _ := w.find(t.Context(), "box")
		rec := a.rec
		rec.State, rec.StartedAt, rec.Wakes = instance.Starting, time.Time{}, nil
		if err := w.Store.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		w.leave()
		w.open()
		synctest.Wait()
		w.want("box", "RUNNING")
		if err := w.Stop(t.Context(), "box", 0); err != nil {
			t.Fatal(err)
		}
		w.want("box", "STOPPED")
	})
}

// deaf is a launcher whose starts succeed although they were cancelled: the answer
// was on its way.
type deaf struct{ *fakeLauncher }

func (d deaf) Launch(ctx context.Context, l instance.Launch) (Life, error) {
	life, err := d.fakeLauncher.Launch(ctx, l)
	return deafLife{life.(*fakeLife)}, err
}

type deafLife struct{ *fakeLife }

func (d deafLife) Start(_ context.Context, boots instance.Boots) (Stream, wire.Stages, error) {
	return d.fakeLife.Start(context.Background(), boots)
}

func TestStopAsItHasStarted(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box"})
		w.Stop(t.Context(), "box", 0)
		w.launcher.bootTime = time.Minute
		w.Launcher = deaf{w.launcher}
		go w.Start(t.Context(), "box")
		time.Sleep(time.Second)
		if err := w.Stop(t.Context(), "box", 0); err != nil {
			t.Fatal(err)
		}
		w.want("box", "STOPPED")
		if view, _ := w.Info(t.Context(), "box"); view.Exit == nil || view.Exit.Reason != instance.StoppedBy {
			t.Errorf("exit: %+v", view.Exit)
		}
	})
}
