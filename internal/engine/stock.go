package engine

import (
	"context"
	"sync"
	"time"

	"aegis/internal/instance"
	"aegis/internal/template"
)

// Origins of a VM: what its start was made from, the quickest first.
const (
	fromPool     = "pool"
	fromTemplate = "template"
	fromCold     = "cold"
)

// stock is what later starts are made from: templates, and VMs that were restored, or
// booted where there are no templates, ahead of need and wait in the pool. One goroutine (tend) makes both, one thing at a
// time and never while an instance starts. A start takes and never waits.
//
// Nothing here belongs to an instance: no secret, workspace or name ever comes in.
type stock struct {
	e      *Engine
	cancel context.CancelFunc
	ctx    context.Context
	kick   chan struct{} // something has changed; never blocks the one who says so
	ended  chan struct{} // closed when tend has ended, and every VM of the pool with it

	mu       sync.Mutex // nothing is waited for under it
	closed   bool
	starting int            // starts under way
	last     *order         // what the last start was, or could have been, made from
	failures map[string]int // by key: templates in a row that could not be made or used
	waiting  []*pooled      // oldest first
}

// order is what a template, and a VM of the pool, is made by.
type order struct {
	key    string
	shape  template.Shape
	launch instance.Launch // the machine alone

	// pooledOnly is of a backend without templates: VMs of the pool are booted, and each is
	// for an instance that takes its disk.
	pooledOnly bool
}

// Bounds of what is made ahead.
const (
	triesMost   = 3                // templates of one key that fail in a row, before no more are made
	memoryEvery = 15 * time.Second // between two looks at the host's memory while a VM waits
	memoryFloor = 512 << 20        // bytes that stay available to the host, whatever waits
)

func newStock(e *Engine) *stock {
	ctx, cancel := context.WithCancel(e.ctx)
	return &stock{e: e, ctx: ctx, cancel: cancel, kick: make(chan struct{}, 1), ended: make(chan struct{}), failures: map[string]int{}}
}

// close ends what waits and what is being made, and waits for that.
func (s *stock) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	<-s.ended
}

// begin says that a start is under way: nothing is begun here until finish.
func (s *stock) begin() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting++
}

// finish says that a start has ended, and how. What it was made by, unless nil, is
// what the next is expected to need.
func (s *stock) finish(o *order, err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.starting--
	if o != nil && err == nil {
		s.last = o
	}
	s.mu.Unlock()
	s.wakeUp()
}

func (s *stock) wakeUp() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// tend makes what is missing until the engine ends.
func (s *stock) tend() {
	defer close(s.ended)
	defer func() { endAll(s.drain()) }()
	for {
		var look <-chan time.Time
		if s.ready("") > 0 {
			look = time.After(memoryEvery)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.kick:
		case <-look:
		}
		endAll(s.surplus())
		for s.step() {
		}
	}
}

// step makes one thing, and reports whether there may be another to make.
func (s *stock) step() bool {
	o := s.next()
	if o == nil {
		return false
	}
	produce := s.fill
	if s.lacksTemplate(o) {
		produce = s.save
	}
	err := produce(s.ctx, *o)
	if s.ctx.Err() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures[o.key]++
		s.e.Log.Warn("cannot make ahead what the next start needs", "error", err, "tries", s.failures[o.key])
		return false // not again before the next start
	}
	return true
}

// next is what to make now, or nil.
func (s *stock) next() *order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.last
	switch {
	case o == nil, s.closed, s.starting > 0, s.failures[o.key] >= triesMost:
		return nil
	case s.lacksTemplate(o):
		return o
	case s.count(o.key) >= s.e.Config.PoolSize, s.short(o.shape.Memory):
		return nil
	}
	return o
}

func (s *stock) lacksTemplate(o *order) bool { return !o.pooledOnly && !s.e.Templates.Has(o.key) }

// short reports whether the host would have too little memory beside need more bytes.
func (s *stock) short(need int64) bool {
	available, err := s.e.Available()
	return err == nil && available < need+memoryFloor
}

// count is how many VMs of a key wait; mu is held.
func (s *stock) count(key string) (n int) {
	for _, v := range s.waiting {
		if v.key == key || key == "" {
			n++
		}
	}
	return n
}

// ready is how many VMs of a key wait; of "" all.
func (s *stock) ready(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(key)
}

// surplus takes out of the pool what it has for another shape than the last, and
// everything when the host's memory is short.
func (s *stock) surplus() (out []*pooled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	short := s.short(0)
	var keep []*pooled
	for _, v := range s.waiting {
		if short || s.last == nil || v.key != s.last.key {
			out = append(out, v)
		} else {
			keep = append(keep, v)
		}
	}
	s.waiting = keep
	return out
}

// drain takes everything out of the pool.
func (s *stock) drain() []*pooled {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.waiting
	s.waiting = nil
	return all
}
