package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/logs"
	"aegis/internal/template"
	"aegis/internal/vmm"
)

// order is how what is quicker than a cold boot would be made for this start, or nil
// where nothing is: switched off, or the monitor does not say what it is.
func (e *Engine) order(spec instance.Spec, p *plan) *order {
	if e.stock == nil || spec.NoTemplate {
		return nil
	}
	shape, ok := e.Assets.Shape(e.ctx, p.backend, p.files)
	if !ok {
		return nil
	}
	o := &order{shape: shape, launch: p.launch, pooledOnly: !p.backend.Snapshots}
	o.launch.Assignment, o.launch.Run, o.launch.RunDir = nil, "", ""
	o.shape.CPUs, o.shape.Memory, o.shape.NIC = p.launch.CPUs, p.launch.Memory, p.launch.NIC
	o.shape.Image, o.shape.BaseType = p.files.Digest, p.files.BaseType
	for _, port := range []vmm.Port{vmm.PortControl, vmm.PortFS} {
		o.shape.Ports = append(o.shape.Ports, port.Name)
	}
	o.key = o.shape.Key()
	return o
}

// origins in the order in which they are tried.
var origins = []string{fromPool, fromTemplate, fromCold}

// choose decides what a start is made from, by what there is, and takes it. After a
// start that failed, beyond is what that was made from: only slower ones are tried.
func (e *Engine) choose(p *plan, beyond string) {
	p.origin = fromCold
	if p.order == nil {
		return
	}
	for _, origin := range origins[slices.Index(origins, beyond)+1:] {
		switch origin {
		case fromPool:
			if p.order.pooledOnly && !e.fresh(p) {
				continue
			}
			if v := e.stock.take(p.order.key); v != nil {
				p.origin, p.pooled, p.template = origin, v, v.origin
				p.launch.Run, p.launch.RunDir = v.id, v.run.Dir
				return
			}
		case fromTemplate:
			t, ok, err := e.Templates.Take(p.order.key)
			if err != nil {
				e.fellBack(p, origin, fault.As(err).Why)
			}
			if ok {
				p.origin, p.template, p.launch.Template = origin, t, t.Dir
				return
			}
		}
	}
}

// fresh is whether a start makes a disk that a VM of the pool has mounted: another could
// not be put into one that was booted.
func (e *Engine) fresh(p *plan) bool {
	_, err := os.Lstat(p.launch.Assignment.Disk)
	return errors.Is(err, fs.ErrNotExist) && p.disk == e.Config.Disk
}

// giveUp frees what choose took for a start that was not begun.
func (p *plan) giveUp() {
	if p.pooled != nil {
		p.pooled.end()
		return
	}
	p.template.Release()
}

// fellBack says in the events and in the instance's log that a start could not be
// made from what is quicker.
func (e *Engine) fellBack(p *plan, from, why string) {
	why = "the " + from + " could not be used: " + why
	e.Log.Warn("a start fell back", "instance", p.rec.ID, "why", why)
	e.events.note(eventFellBack, p.rec, why)
	to := p.launch.Assignment
	if os.MkdirAll(to.LogDir, 0o700) != nil {
		return
	}
	if log, err := logs.Open(to.LogDir, to.Instance, to.LogSize); err == nil {
		log.System("fell-back: " + why)
		log.Close()
	}
}

// mayRetry reports whether a failed start may be tried from something slower: not
// when its command or its user is the reason.
func mayRetry(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	switch fault.As(err).Kind {
	case fault.BootFailed, fault.Internal, fault.Timeout, fault.WrongState, fault.Version, fault.AssetDamaged:
		return true
	}
	return false
}

// fallBack begins a failed start again from something slower, and reports whether it
// did. A template that failed is removed.
func (a *actor) fallBack(failed *plan, began time.Time, attach chan<- Stream, err error) bool {
	if failed.origin == fromCold || !mayRetry(err) || a.ending != nil || a.e.isClosing() {
		return false
	}
	if failed.origin == fromTemplate {
		a.e.stock.failed(failed.order.key)
	}
	a.e.fellBack(failed, failed.origin, fault.As(err).Why)
	a.e.Launcher.Clear(a.e.Home.Run(failed.launch.Run))
	p, err := a.e.plan(a.rec)
	if err != nil {
		a.e.Log.Error("cannot begin a start again", "instance", a.id, "error", err)
		return false
	}
	a.e.choose(p, failed.origin)
	if err := a.prepare(p); err != nil {
		p.giveUp()
		a.e.Log.Error("cannot begin a start again", "instance", a.id, "error", err)
		return false
	}
	a.carryOut(p, began, attach)
	return true
}

// failed removes a template that could not be used.
func (s *stock) failed(key string) {
	if err := s.e.Templates.Drop(key); err != nil {
		s.e.Log.Error("cannot remove a template that failed", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[key]++
}

// ListTemplates gives what templates there are.
func (e *Engine) ListTemplates() []template.Entry {
	if e.Templates == nil {
		return nil
	}
	return e.Templates.List()
}

// idleTemplates are the directories of templates that no VM uses: of all, where none
// are used any more.
func (e *Engine) idleTemplates() (out []string) {
	if e.Templates == nil {
		for _, name := range names(e.Home.Templates()) {
			out = append(out, e.Home.Template(name).Dir)
		}
	}
	for _, t := range e.ListTemplates() {
		if !t.InUse {
			out = append(out, t.Path)
		}
	}
	return out
}

// DiscardTemplate removes the directory of a template, unless a VM has come to use it.
func (e *Engine) DiscardTemplate(dir string) error {
	if e.Templates == nil {
		return erase(dir)
	}
	return e.Templates.Remove(filepath.Base(dir))
}
