package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

func TestRestartPolicies(t *testing.T) {
	good, bad := instance.Exit{Reason: instance.Exited}, instance.Exit{Reason: instance.Exited, Code: 1}
	for _, c := range []struct {
		policy string
		exit   instance.Exit
		again  bool
	}{
		{"no", bad, false},
		{"on-failure", good, false},
		{"on-failure", bad, true},
		{"on-failure", instance.Exit{Reason: instance.OutOfMem, Signal: 9}, true},
		{"on-failure", instance.Exit{Reason: instance.VMDied}, true},
		{"always", good, true},
		{"always", instance.Exit{Reason: instance.GuestPanic}, true},
	} {
		in(t, func(t *testing.T, w *world) {
			w.started(client.Create{Name: "svc", Restart: c.policy})
			time.Sleep(time.Minute)
			w.launcher.only(t).die(c.exit)
			time.Sleep(time.Second)
			want := "STOPPED"
			if c.again {
				want = "RUNNING"
			}
			if got := w.state("svc"); got != want {
				t.Errorf("%s after %s %d: %s, want %s", c.policy, c.exit.Reason, c.exit.Code, got, want)
			}
		})
	}
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "svc", Restart: "always", PauseAfter: "1s", StopAfter: "1s"})
		time.Sleep(time.Hour)
		w.want("svc", "STOPPED") // idle: a connection starts it, not the policy
		w.Start(t.Context(), "svc")
		w.Stop(t.Context(), "svc", 0)
		starts := w.launcher.launched
		time.Sleep(time.Hour)
		w.leave()
		w.open()
		time.Sleep(time.Hour)
		if w.launcher.launched != starts {
			t.Error("the policy started what its user stopped")
		}
	})
	in(t, func(t *testing.T, w *world) { // what a reboot of the host ended
		w.started(client.Create{Name: "svc", Restart: "always"})
		time.Sleep(time.Minute)
		life := w.launcher.only(t)
		w.leave()
		life.die(instance.Exit{Reason: instance.VMDied})
		w.open()
		time.Sleep(time.Second)
		w.want("svc", "RUNNING")
	})
}

// A command that keeps ending at once is held back, longer each time.
func TestBackoff(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "bad", Expose: []string{"80"}, Restart: "on-failure"})
		began := time.Now()
		launched := func() int { w.launcher.mu.Lock(); defer w.launcher.mu.Unlock(); return w.launcher.launched }
		for w.launcher.running() == 1 && time.Since(began) < 10*time.Second {
			w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if n := launched(); n != quickEnds {
			t.Fatalf("%d starts before it is held back, want %d", n, quickEnds)
		}
		_, _, err := w.Dial(t.Context(), "bad", 80)
		if !fault.Is(err, fault.Backoff) || !strings.Contains(err.Error(), "5 times") {
			t.Errorf("a connection meanwhile: %v", err)
		}
		if view, _ := w.Info(t.Context(), "bad"); view.HeldUntil == nil {
			t.Error("info does not say until when")
		}
		time.Sleep(heldFirst)
		if n := launched(); n != quickEnds+1 {
			t.Errorf("%d starts after the first delay", n)
		}
		w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
		time.Sleep(heldFirst + time.Millisecond)
		if w.launcher.running() != 0 {
			t.Error("the second delay is no longer than the first")
		}
		if _, err := w.Start(t.Context(), "bad"); err != nil { // a user is not held back
			t.Errorf("start by hand: %v", err)
		}
		w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
		time.Sleep(time.Millisecond)
		w.want("bad", "RUNNING") // and the score begins anew
		time.Sleep(2 * quickly)  // long enough to count as good
		w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
		time.Sleep(time.Millisecond)
		w.want("bad", "RUNNING")
	})
}

func TestHolds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box", PauseAfter: "10s"})
		view, err := w.Hold(t.Context(), "box", time.Minute, "a long think")
		if err != nil || len(view.AwakeBecause) != 1 || view.AwakeBecause[0] != "lease: a long think" {
			t.Fatalf("%v %v", view.AwakeBecause, err)
		}
		w.leave() // a lease outlives the daemon
		w.open()
		time.Sleep(69 * time.Second)
		w.want("box", "RUNNING")
		time.Sleep(2 * time.Second)
		w.want("box", "PAUSED")
		w.Hold(t.Context(), "box", time.Hour, "again") // it resumes
		w.want("box", "RUNNING")
		if _, err := w.Release(t.Context(), "box"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		w.want("box", "RUNNING")
		time.Sleep(2 * time.Second)
		w.want("box", "PAUSED")
		w.Stop(t.Context(), "box", 0)
		if _, err := w.Hold(t.Context(), "box", time.Hour, ""); !fault.Is(err, fault.WrongState) {
			t.Errorf("hold a STOPPED one: %v", err)
		}
		for _, d := range []time.Duration{0, -1, 25 * time.Hour} {
			if _, err := w.Hold(t.Context(), "box", d, ""); !fault.Is(err, fault.Invalid) {
				t.Errorf("hold for %s: %v", d, err)
			}
		}
	})
}

func TestGuestLease(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box", PauseAfter: "10s"})
		life := w.launcher.only(t)
		life.reports <- instance.Report{Lease: &instance.Lease{Until: time.Now().Add(30 * time.Second), Reason: "work"}}
		time.Sleep(39 * time.Second)
		w.want("box", "RUNNING")
		time.Sleep(2 * time.Second)
		w.want("box", "PAUSED")
		w.Resume(t.Context(), "box")
		life.reports <- instance.Report{Lease: &instance.Lease{Until: time.Now().Add(1000 * time.Hour), Reason: "greed"}}
		time.Sleep(time.Second)
		life.reports <- instance.Report{Lease: &instance.Lease{}}
		time.Sleep(11 * time.Second)
		w.want("box", "PAUSED")
		w.Resume(t.Context(), "box")
		life.lease = &instance.Lease{Until: time.Now().Add(time.Minute), Reason: "still"}
		w.leave()
		w.open()
		time.Sleep(69 * time.Second)
		w.want("box", "RUNNING")
		time.Sleep(2 * time.Second)
		w.want("box", "PAUSED")
	})
}

func TestWait(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "job"})
		if _, err := w.Wait(t.Context(), "job"); !fault.Is(err, fault.WrongState) {
			t.Errorf("before it ran: %v", err)
		}
		w.Start(t.Context(), "job")
		got := make(chan client.Exit, 2)
		for range 2 {
			go func() {
				exit, err := w.Wait(t.Context(), "job")
				if err != nil {
					t.Error(err)
				}
				got <- exit
			}()
		}
		synctest.Wait()
		w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 7})
		for range 2 {
			if exit := <-got; exit.Code != 7 {
				t.Errorf("%+v", exit)
			}
		}
		if exit, err := w.Wait(t.Context(), "job"); err != nil || exit.Code != 7 {
			t.Errorf("afterwards: %+v %v", exit, err)
		}
	})
}

func TestPrune(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "old"})
		w.started(client.Create{Name: "runs", PauseAfter: "never"})
		w.Stop(t.Context(), "old", 0)
		time.Sleep(48 * time.Hour)
		w.create(client.Create{Name: "new"})
		deleted, err := w.Prune(t.Context(), 24*time.Hour)
		if err != nil || len(deleted) != 1 || deleted[0] != "old" {
			t.Errorf("%v %v", deleted, err)
		}
		w.want("old", "gone")
		w.want("new", "STOPPED")
		w.want("runs", "RUNNING")
	})
}

func TestRestart(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "svc", Secrets: nil})
		first := w.launcher.only(t)
		if _, err := w.Restart(t.Context(), "svc", -1); err != nil {
			t.Fatal(err)
		}
		if first == w.launcher.only(t) {
			t.Error("the same VM")
		}
		if _, err := w.Restart(t.Context(), "nobody", -1); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// A stop also ends what has not begun: the start that a policy has put off.
func TestStopOfAHeldBackInstance(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "svc", Restart: "always"})
		for range quickEnds {
			w.launcher.only(t).die(instance.Exit{Reason: instance.Exited, Code: 1})
			synctest.Wait()
		}
		w.want("svc", "STOPPED")
		if err := w.Stop(t.Context(), "svc", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.want("svc", "STOPPED")
	})
}
