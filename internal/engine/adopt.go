package engine

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/store"
)

// Open takes over what is on disk: every record becomes an actor, every run that
// lives is adopted, every other one is ended, and what belongs to nobody is removed.
// When it returns, states are accurate and listeners open.
func (e *Engine) Open(ctx context.Context) error {
	records, err := e.Store.List(ctx)
	if err != nil {
		return err
	}
	e.sweep(ctx, records) // before anything can start
	found := e.reach(ctx, records)
	for i, rec := range records {
		if err := e.adopt(ctx, rec, found[i]); err != nil {
			return err
		}
	}
	return nil
}

// reached is what became of a record's run.
type reached struct {
	life   Life
	status instance.RunStatus
	err    error
}

// reach looks for the runs of all records at once: each shim that hangs takes
// seconds.
func (e *Engine) reach(ctx context.Context, records []store.Record) []reached {
	found := make([]reached, len(records))
	var wg sync.WaitGroup
	for i, rec := range records {
		if rec.Run == "" {
			continue
		}
		wg.Go(func() {
			r := &found[i]
			r.life, r.status, r.err = e.Launcher.Adopt(ctx, e.Home.Run(rec.Run))
		})
	}
	wg.Wait()
	return found
}

// lost is the exit of a run that no daemon reaches any more.
func (e *Engine) lost(run paths.Run, err error) instance.Exit {
	if exit, ok := e.Launcher.Left(run); ok {
		return exit
	}
	why := "its VM was gone when the daemon came back"
	if fault.Is(err, fault.Timeout) {
		why = fault.As(err).Why
	}
	return instance.Exit{Reason: instance.VMDied, Error: why, At: time.Now().UTC()}
}

// adopt makes an actor of a record, with its VM if that lives.
func (e *Engine) adopt(ctx context.Context, rec store.Record, found reached) error {
	life, status := found.life, found.status
	if before := rec; rec.Run != "" {
		run := e.Home.Run(rec.Run)
		if found.err != nil {
			exit := e.lost(run, found.err)
			rec.State, rec.Run, rec.Template, rec.Exit, rec.StoppedAt = instance.Stopped, "", "", &exit, exit.At
			if rec.StartedAt.IsZero() && exit.Reason != instance.BootFailed {
				rec.StartedAt = rec.CreatedAt // it has run, while nobody looked
			}
			e.Launcher.Clear(run)
		} else if status.Started {
			if rec.State == instance.Starting { // the last daemon did not come to remember it
				rec.StartedAt = time.Now().UTC()
			}
			rec.State = instance.Running
			if status.Paused {
				rec.State = instance.Paused
			}
		}
		if err := e.Store.Put(ctx, rec); err != nil {
			return err
		}
		e.events.moved(before, rec, time.Now())
	}
	var claim Claim
	var warn error
	if !rec.UserStopped && len(rec.Spec.Ports) > 0 {
		claim, warn = e.Ports.Claim(rec.Spec.Ports)
	}
	a := e.spawn(rec, claim, func(a *actor) { a.resettle(life, status, warn) })
	if rec.Spec.Ephemeral { // its client went with the last daemon
		e.hide(a, rec.Spec)
	}
	return nil
}

// resettle is the first thing that an adopted instance does.
func (a *actor) resettle(life Life, status instance.RunStatus, warn error) {
	if warn != nil {
		a.e.Log.Error("cannot open an instance's ports; stop and start it when they are free", "instance", a.id, "error", warn)
	}
	if a.claim != nil {
		a.claim.Serve(a.id)
	}
	a.paused = time.Now()
	if life == nil {
		if a.rec.Spec.Ephemeral {
			a.remove()
		} else if again(a.rec) {
			a.retryAt = later(time.Now(), a.rec.HeldUntil)
		}
		return
	}
	a.life = life
	if a.e.Templates != nil && a.rec.Template != "" {
		a.template = a.e.Templates.Hold(a.rec.Template)
	}
	a.watch(life)
	if status.Lease != nil {
		a.guest = *status.Lease
	}
	// A start that nobody waits for any more, and a run whose client went with
	// the daemon, end.
	if !status.Started {
		a.ending = &ending{reason: instance.BootFailed, done: make(chan struct{})}
		a.condemn(instance.BootFailed)
	} else if a.rec.Spec.Ephemeral {
		a.dismiss(ephemeralGrace)
	}
}

// sweep removes what no record knows: runs, instance directories, temporary workspaces.
func (e *Engine) sweep(ctx context.Context, records []store.Record) {
	known := map[string]bool{}
	for _, rec := range records {
		known[rec.ID], known[rec.Run] = true, true
	}
	for _, name := range names(e.Home.Runs()) {
		if known[name] {
			continue
		}
		run := e.Home.Run(name)
		if life, _, err := e.Launcher.Adopt(ctx, run); err == nil {
			life.Kill(ctx, instance.VMDied)
		}
		e.Launcher.Clear(run)
	}
	if len(records) == 0 && len(names(e.Home.Instances())) > 0 {
		e.Log.Warn("the registry is empty and there are instances on disk: they are left alone", "directory", e.Home.Instances())
		return // a registry that was lost must not take the disks with it
	}
	for _, dir := range []string{e.Home.Instances(), e.Home.TemporaryWorkspaces()} {
		for _, id := range names(dir) {
			if !known[id] {
				erase(filepath.Join(dir, id))
			}
		}
	}
}

func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(entries))
	for _, entry := range entries {
		out = append(out, entry.Name())
	}
	return out
}
