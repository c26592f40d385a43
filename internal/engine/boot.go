package engine

import (
	"context"
	"os"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// launch makes a VM for a STOPPED instance. Everything that can be refused is
// refused before anything changes. The command's stream goes to attach, unless nil.
func (a *actor) launch(on instance.Event, attach chan<- Stream) (*waiter, error) {
	if a.e.isClosing() {
		return nil, fault.New(fault.Unreachable, "", "", "the daemon is going down")
	}
	began := time.Now()
	p, err := a.e.plan(a.rec)
	if err != nil {
		return nil, err
	}
	if err := a.listen(); err != nil {
		return nil, err
	}
	a.e.choose(p, "")
	p.stages["plan"] = time.Since(began)
	if err := a.prepare(p); err != nil {
		p.giveUp()
		return nil, err
	}
	a.retryAt = time.Time{}
	w := a.await(on)
	a.e.stock.begin()
	a.carryOut(p, began, attach)
	return w, nil
}

// prepare saves what a start is going to make, before it is made.
func (a *actor) prepare(p *plan) error {
	began := time.Now()
	rec := a.rec
	rec.State, rec.Run, rec.UserStopped = instance.Starting, p.launch.Run, false
	rec.Backend, rec.Accelerator, rec.Confinement, rec.Image = p.backend.Name, p.backend.Accelerator, p.backend.Confinement, p.files.Digest
	rec.SecretVersions, rec.Template = p.versions, ""
	if p.template != nil {
		rec.Template = p.template.Key
	}
	err := a.save(rec)
	p.stages["save"] = time.Since(began)
	return err
}

// carryOut begins a start that is saved; booted is its end.
func (a *actor) carryOut(p *plan, began time.Time, attach chan<- Stream) {
	ctx, cancel := context.WithCancel(a.e.ctx)
	a.boot = &booting{cancel: cancel, began: began, from: instance.Stopped}
	p.boots.Attached = attach != nil
	a.e.wg.Go(func() {
		defer cancel()
		life, stream, err := a.e.boot(ctx, p)
		if err != nil && a.e.ctx.Err() != nil {
			return // the daemon ends; the next one finds what there is
		}
		a.post(func() { a.booted(p, life, stream, attach, err) })
	})
}

// listen opens the instance's ports, if they are closed.
func (a *actor) listen() error {
	if a.claim == nil && len(a.rec.Spec.Ports) > 0 {
		claim, err := a.e.Ports.Claim(a.rec.Spec.Ports)
		if err != nil {
			return err
		}
		a.claim = claim
	}
	if a.claim != nil {
		a.claim.Serve(a.id)
	}
	return nil
}

// boot makes the VM and starts the command. On an error the VM is gone.
func (e *Engine) boot(ctx context.Context, p *plan) (Life, Stream, error) {
	life, err := e.machine(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	stream, stages, err := life.Start(ctx, p.boots)
	p.boots = instance.Boots{}
	if err != nil {
		life.Kill(context.Background(), instance.BootFailed)
		for range life.Reports() {
		}
		p.template.Release()
		return nil, nil, err
	}
	for name, took := range stages {
		p.stages[name] = took
	}
	return life, stream, nil
}

// machine gives the VM that a start is made from, with the instance's disk ready.
func (e *Engine) machine(ctx context.Context, p *plan) (Life, error) {
	began := time.Now()
	if err := e.makeDisk(ctx, p); err != nil {
		p.giveUp()
		return nil, err
	}
	p.stages["disk"] = time.Since(began)
	if p.pooled != nil {
		p.boots.Assignment = p.launch.Assignment
		return p.pooled.life, nil
	}
	began = time.Now()
	if err := os.MkdirAll(p.launch.RunDir, 0o700); err != nil {
		p.giveUp()
		return nil, err
	}
	life, err := e.Launcher.Launch(ctx, p.launch)
	if err != nil {
		p.giveUp()
		return nil, fault.New(fault.BootFailed, "", "boot the VM", "%w", err)
	}
	p.stages["spawn"] = time.Since(began)
	return life, nil
}

// booted is the end of a start, good or bad.
func (a *actor) booted(p *plan, life Life, stream Stream, attach chan<- Stream, err error) {
	boot := a.boot
	a.boot = nil
	if err != nil && a.fallBack(p, boot.began, attach, err) {
		return
	}
	a.e.stock.finish(p.order, err)
	if err != nil {
		a.bootFailed(err)
		return
	}
	a.life, a.template = life, p.template
	a.watch(life)
	if stream != nil {
		attach <- a.keep(stream, holdAttached)
	}
	if a.ending != nil { // a stop came while it was starting
		a.condemn(a.ending.reason)
		return
	}
	step, _ := instance.Next(a.rec.State, instance.Acked)
	rec := a.rec
	now := time.Now()
	rec.State, rec.StartedAt = step.To, now.UTC()
	took := now.Sub(boot.began)
	rec.AddWake(store.Wake{At: boot.began.UTC(), From: boot.from, Took: took, Origin: p.origin, Stages: p.stages})
	if err := a.save(rec); err != nil {
		a.e.Log.Error("cannot remember a start", "instance", a.id, "error", err)
		a.condemn(instance.VMDied)
		return
	}
	if a.e.Woke != nil {
		a.e.Woke(boot.from, took)
	}
	a.active = now
	a.release(nil)
}
