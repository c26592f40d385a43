package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// The model's instance: how long it boots and idles, and the back-off of the papers.
const (
	modelBoot  = time.Second
	modelPause = 3 * time.Second
	modelStop  = 5 * time.Second
)

// model is what docs/spec.md says of one instance's life, written a second time
// and without an engine: plain state, and a clock that is moved by hand.
type model struct {
	now     time.Time
	there   bool
	state   instance.State
	user    bool // stopped by its user, or not started yet: no connection wakes it
	ports   bool // bound, if only to keep them
	restart string
	open    int // connections and execs

	active, paused, started, held, retry, lease time.Time
	failures                                    int
	reason                                      string // of the last exit
}

// due is when the clock moves the instance next.
func (m *model) due() (time.Time, bool) {
	switch {
	case !m.there:
	case m.state == instance.Running && m.open == 0:
		return later(m.active, m.lease).Add(modelPause), true
	case m.state == instance.Paused:
		return m.paused.Add(modelStop), true
	case m.state == instance.Stopped && !m.retry.IsZero():
		return m.retry.Add(modelBoot), true // it is RUNNING then
	}
	return time.Time{}, false
}

// pass lets time go by. It ends no earlier than to, and never within a boot.
func (m *model) pass(to time.Time) {
	for {
		at, ok := m.due()
		booting := ok && m.state == instance.Stopped && !to.Before(m.retry)
		if !ok || (to.Before(at) && !booting) {
			m.now = to
			return
		}
		m.now = later(m.now, at)
		to = later(to, m.now)
		switch m.state {
		case instance.Running:
			m.state, m.paused = instance.Paused, m.now
		case instance.Paused:
			m.end("idle", 0)
		case instance.Stopped:
			m.run()
		}
	}
}

// run is the end of a boot.
func (m *model) run() {
	m.state, m.user, m.ports, m.retry = instance.Running, false, true, time.Time{}
	m.started, m.active = m.now, m.now
}

// boot starts a STOPPED instance now.
func (m *model) boot() {
	m.retry = time.Time{}
	m.now = m.now.Add(modelBoot)
	m.run()
}

// end stops it, and decides by its policy and its back-off what follows.
func (m *model) end(reason string, code int) {
	m.state, m.reason, m.lease = instance.Stopped, reason, time.Time{}
	if reason == "stopped" || reason == "idle" {
		return
	}
	if m.now.Sub(m.started) >= 10*time.Second {
		m.failures, m.held = 0, time.Time{}
	} else if m.failures++; m.failures >= 5 {
		m.held = m.now.Add(min(time.Second<<(m.failures-5), 5*time.Minute))
	}
	if m.restart == "always" || m.restart == "on-failure" && (reason != "exited" || code != 0) {
		m.retry = later(m.now, m.held)
	}
}

// wake brings it to RUNNING for a connection, an exec, a lease or its user.
func (m *model) wake(by string) fault.Kind {
	switch {
	case !m.there:
		return fault.NotFound
	case m.state == instance.Paused:
		m.state, m.active = instance.Running, m.now
	case m.state == instance.Running && by == "start":
		return fault.WrongState
	case m.state == instance.Running:
	case by == "start":
		m.failures, m.held = 0, time.Time{}
		m.boot()
	case by != "connect" || m.user:
		return fault.WrongState
	case m.now.Before(m.held):
		return fault.Backoff
	default:
		m.boot()
	}
	return ""
}

func (m *model) stop() fault.Kind {
	if !m.there {
		return fault.NotFound
	}
	if m.state != instance.Stopped {
		m.end("stopped", 0)
	}
	m.user, m.ports, m.retry = true, false, time.Time{}
	return ""
}

func (m *model) pause() fault.Kind {
	switch {
	case !m.there:
		return fault.NotFound
	case m.state == instance.Stopped:
		return fault.WrongState
	case m.state == instance.Running:
		m.state, m.paused = instance.Paused, m.now
	}
	return ""
}

// hold takes a lease in place of the one that is held, whose end is activity.
func (m *model) hold(d time.Duration) fault.Kind {
	kind := m.wake("hold")
	if kind == "" {
		if m.lease.After(m.now) {
			m.active = m.now
		}
		m.lease = m.now.Add(d)
	}
	return kind
}

func (m *model) remove(force bool) fault.Kind {
	if !m.there {
		return fault.NotFound
	}
	if !force && m.state != instance.Stopped {
		return fault.WrongState
	}
	*m = model{now: m.now, open: m.open}
	return ""
}

// twin is an engine and a model that are told the same.
type twin struct {
	*world
	m     model
	r     *rand.Rand
	open  []net.Conn
	story []string
}

// tell does one thing to both and compares the refusals.
func (w *twin) tell(what string, want func() fault.Kind, do func(ctx context.Context) error) {
	w.t.Helper()
	kind := want()
	err := do(w.t.Context())
	if fault.Is(err, fault.Internal) || (kind == "") != (err == nil) || kind != "" && !fault.Is(err, kind) {
		w.t.Errorf("%s: %v, the model says %q", what, err, kind)
	}
	w.story = append(w.story, fmt.Sprintf("%s %s", time.Now().Format("04:05.000"), what))
}

// same compares what can be seen.
func (w *twin) same() {
	w.t.Helper()
	synctest.Wait()
	w.m.pass(time.Now())
	time.Sleep(time.Until(w.m.now)) // a boot that began by itself ends
	synctest.Wait()
	want := "gone"
	if w.m.there {
		want = string(w.m.state)
	}
	if got := w.state("box"); got != want {
		w.t.Errorf("it is %s, the model says %s", got, want)
	}
	if !w.m.there {
		return
	}
	view, err := w.Info(w.t.Context(), "box")
	if err != nil {
		w.t.Fatal(err)
	}
	if view.Exit != nil && view.Exit.Reason != w.m.reason {
		w.t.Errorf("it ended as %q, the model says %q", view.Exit.Reason, w.m.reason)
	}
	if n, want := w.ports.listening(), map[bool]int{true: 1}[w.m.ports]; n != want {
		w.t.Errorf("%d listeners, the model says %d", n, want)
	}
}

// drop closes a connection, which counts as activity.
func (w *twin) drop() {
	if len(w.open) == 0 {
		return
	}
	w.open[0].Close()
	w.open = w.open[1:]
	if w.m.open--; w.m.there {
		w.m.active = w.m.now
	}
}

// kept remembers a connection that was opened.
func (w *twin) kept(conn net.Conn, err error) error {
	if err == nil {
		w.open = append(w.open, conn)
		w.m.open++
	}
	return err
}

// step does one thing that the dice choose; VMs die often.
func (w *twin) step() {
	w.m.now = time.Now()
	things := []func(){w.create, w.create, w.start, w.start, w.stop, w.delete, w.pause, w.resume, w.connect, w.exec, w.drop, w.hold, w.restart,
		w.crash, w.crash, w.crash, w.crash, w.crash}
	things[w.r.IntN(len(things))]()
}

func (w *twin) create() {
	m := &w.m
	w.tell("create", func() fault.Kind {
		if m.there {
			return fault.NameTaken
		}
		policy := []string{restartNo, restartOnFailure, restartAlways}[w.r.IntN(3)]
		*m = model{now: m.now, there: true, state: instance.Stopped, user: true, ports: true, restart: policy}
		return ""
	}, func(ctx context.Context) error {
		_, err := w.Create(ctx, client.Create{Name: "box", Expose: []string{"80"}, PauseAfter: modelPause.String(), StopAfter: modelStop.String(), Restart: m.restart})
		return err
	})
}

func (w *twin) start() {
	w.tell("start", func() fault.Kind { return w.m.wake("start") }, func(ctx context.Context) error { _, err := w.Start(ctx, "box"); return err })
}

func (w *twin) stop() {
	w.tell("stop", w.m.stop, func(ctx context.Context) error { return w.Stop(ctx, "box", time.Second) })
}

func (w *twin) delete() {
	force := w.r.IntN(2) == 0
	for len(w.open) > 0 {
		w.drop()
	}
	w.tell("delete", func() fault.Kind { return w.m.remove(force) }, func(ctx context.Context) error { return w.Delete(ctx, "box", force) })
}

func (w *twin) pause() {
	w.tell("pause", w.m.pause, func(ctx context.Context) error { return w.Pause(ctx, "box") })
}

func (w *twin) resume() {
	w.tell("resume", func() fault.Kind { return w.m.wake("resume") }, func(ctx context.Context) error { return w.Resume(ctx, "box") })
}

func (w *twin) connect() {
	w.tell("connect", func() fault.Kind { return w.m.wake("connect") }, func(ctx context.Context) error {
		conn, _, err := w.Dial(ctx, "box", 80)
		return w.kept(conn, err)
	})
}

func (w *twin) exec() {
	w.tell("exec", func() fault.Kind { return w.m.wake("exec") }, func(ctx context.Context) error {
		return w.kept(w.Exec(ctx, "box", client.Exec{Command: []string{"true"}}))
	})
}

func (w *twin) hold() {
	const lease = 4 * time.Second
	w.tell("hold", func() fault.Kind { return w.m.hold(lease) }, func(ctx context.Context) error { _, err := w.Hold(ctx, "box", lease, "model"); return err })
}

func (w *twin) restart() {
	w.tell("restart", func() fault.Kind {
		if kind := w.m.stop(); kind != "" {
			return kind
		}
		return w.m.wake("start")
	}, func(ctx context.Context) error { _, err := w.Restart(ctx, "box", time.Second); return err })
}

// crash ends the VM, if there is one, as itself or as its command does.
func (w *twin) crash() {
	if !w.m.there || w.m.state == instance.Stopped {
		return
	}
	exit := []instance.Exit{{Reason: instance.VMDied, Signal: 9}, {Reason: instance.Exited}, {Reason: instance.Exited, Code: 3}}[w.r.IntN(3)]
	w.tell(exit.Reason, func() fault.Kind { w.m.end(exit.Reason, exit.Code); return "" }, func(context.Context) error {
		w.launcher.only(w.t).die(exit)
		synctest.Wait()
		return nil
	})
}

// TestModel tells an engine and a model the same random story, and compares what
// both say after each sentence, for many stories.
func TestModel(t *testing.T) {
	for seed := range uint64(*histories) {
		synctest.Test(t, func(t *testing.T) {
			w := &twin{world: newWorld(t), r: rand.New(rand.NewPCG(seed, 11)), m: model{now: time.Now()}}
			w.launcher.bootTime = modelBoot
			for range 30 {
				w.step()
				w.same()
				if !t.Failed() && w.r.IntN(3) > 0 {
					time.Sleep(time.Duration(w.r.IntN(7000)) * time.Millisecond)
					w.same()
				}
				if t.Failed() {
					t.Errorf("seed %d:\n%v", seed, w.story)
					break
				}
			}
			for len(w.open) > 0 {
				w.drop()
			}
			w.Down(context.Background())
			w.leave()
		})
		if t.Failed() {
			return
		}
	}
}
