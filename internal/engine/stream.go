package engine

import (
	"context"
	"net"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// kept is a stream that keeps its instance awake until it is closed.
type kept struct {
	Stream
	release func()
}

// Close ends the stream and the hold.
func (k *kept) Close() error {
	defer k.release()
	return k.Stream.Close()
}

// keep belongs to the actor's goroutine.
func (a *actor) keep(s Stream, hold string) Stream {
	return &kept{Stream: s, release: a.hold(hold)}
}

// awaken brings the instance to RUNNING and holds it there. It reports whether
// that took a wake. what begins a refusal.
func (a *actor) awaken(ctx context.Context, on instance.Event, what, hold string) (life Life, release func(), woke bool, err error) {
	var w *waiter
	err = a.ask(ctx, func() error {
		was := a.rec.State
		var err error
		if w, err = a.wake(on); err != nil {
			return a.refuse(what, err)
		}
		woke = was != instance.Running
		release = a.hold(hold)
		return nil
	})
	if err != nil {
		return nil, nil, false, err
	}
	if err = w.wait(ctx); err == nil {
		err = a.ask(ctx, func() error {
			if a.life == nil || a.ending != nil {
				return a.refuse(what, fault.New(fault.WrongState, "", "", "it has just stopped"))
			}
			life = a.life
			return nil
		})
	}
	if err != nil {
		release()
		return nil, nil, false, err
	}
	return life, release, woke, nil
}

// Run starts a STOPPED instance with the caller attached to its command, and says how
// the start went. The stream carries package wire's frames; the caller closes it.
func (e *Engine) Run(ctx context.Context, ref string) (net.Conn, client.Wake, error) {
	a, stream, err := e.start(ctx, ref, true)
	if err != nil {
		return nil, client.Wake{}, err
	}
	var last client.Wake
	a.ask(ctx, func() error {
		if len(a.rec.Wakes) > 0 {
			last = wakes(a.rec.Wakes[:1])[0]
		}
		return nil
	})
	return &attached{Stream: stream, e: e, a: a}, last, nil
}

// attached is the stream of a run's command. An ephemeral instance ends with its
// client: when the stream is closed, and when nothing more comes from the client,
// since one that is there says the end of its input in a frame.
type attached struct {
	Stream
	e *Engine
	a *actor
}

// CloseWrite says that the client has gone.
func (s *attached) CloseWrite() error {
	s.part()
	return s.Stream.CloseWrite()
}

// Close ends the stream.
func (s *attached) Close() error {
	s.part()
	return s.Stream.Close()
}

// part ends an ephemeral instance that still runs.
func (s *attached) part() {
	s.e.wg.Go(func() {
		s.a.ask(s.e.ctx, func() error {
			if s.a.rec.Spec.Ephemeral && s.a.rec.State != instance.Stopped {
				s.a.end(instance.Stop, ephemeralGrace, instance.StoppedBy)
			}
			return nil
		})
	})
}

// ephemeralGrace is how long the command of a run may take to end when its client has gone.
const ephemeralGrace = time.Second

// Exec runs one more process in a RUNNING or PAUSED instance. Closing the stream ends it.
func (e *Engine) Exec(ctx context.Context, ref string, x client.Exec) (net.Conn, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	life, release, _, err := a.awaken(ctx, instance.Exec, "run a command in", holdExec)
	if err != nil {
		return nil, err
	}
	process := wire.Process{ID: instance.NewExecID(), Args: x.Command, Env: x.Env, Dir: x.Workdir, User: x.User,
		TTY: x.TTY, Rows: uint16(x.Rows), Cols: uint16(x.Cols), NoStdin: x.NoStdin}
	stream, err := life.Exec(ctx, process)
	if err != nil {
		release()
		return nil, a.refuse("run a command in", err)
	}
	return &kept{Stream: stream, release: release}, nil
}

// freshGrace is how long a port may refuse although its instance has run for longer than
// the wake timeout: an app that is restarting itself.
const freshGrace = time.Second

// Dial connects to a guest port for the router, waking the instance first if need
// be. It returns when the app listens or ctx ends; waited is zero if it was RUNNING.
func (e *Engine) Dial(ctx context.Context, id string, port uint16) (net.Conn, time.Duration, error) {
	began := time.Now()
	a, err := e.find(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	life, release, woke, err := a.awaken(ctx, instance.Connect, "connect to", holdConnection)
	if err != nil {
		return nil, 0, err
	}
	wait := freshGrace
	a.ask(ctx, func() error {
		wait = max(wait, e.Config.WakeTimeout-time.Since(a.rec.StartedAt))
		return nil
	})
	if at, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(at))
	}
	stream, err := life.Dial(ctx, port, wait)
	if err != nil {
		release()
		return nil, 0, a.refuse("connect to", err)
	}
	var waited time.Duration
	if woke {
		waited = time.Since(began)
	}
	return &kept{Stream: stream, release: release}, waited, nil
}

// Lookup finds the exposed port behind a front-door name; port 0 is the first one.
func (e *Engine) Lookup(name string, port uint16) (string, uint16, error) {
	rec, err := e.Store.Find(e.ctx, name)
	if err != nil {
		return "", 0, err
	}
	for _, p := range rec.Spec.Ports {
		if rec.Spec.Name == name && p.Protocol == instance.HTTP && (port == 0 || p.Guest == port) {
			return rec.ID, p.Guest, nil
		}
	}
	return "", 0, fault.New(fault.NotFound, name, "open the front door", "nothing is exposed under that name")
}
