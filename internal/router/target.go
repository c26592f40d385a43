package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"aegis/internal/fault"
)

// maxKept bounds the idle guest connections of a target.
const maxKept = 64

type targetKey struct {
	id   string
	port uint16
}

// target is one guest port of an instance: how to reach it, and the connections
// to it that are kept for a next HTTP exchange.
type target struct {
	targetKey
	router *Router

	mu      sync.Mutex
	links   []*link // HTTP/1: the idle ones; HTTP/2: all
	era     int     // rest begins a new one
	retired bool    // keep nothing any more
}

// link is one HTTP connection to the guest.
type link struct {
	*http.ClientConn
	h2   bool
	era  int // of the target when it was dialled: an older one takes no new exchange
	uses int // exchanges on it now
	idle *time.Timer
}

// register makes the target of a claimed port known to the front door, which then
// shares its connections.
func (r *Router) register(id string, port uint16) *target {
	t := &target{targetKey: targetKey{id, port}, router: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets[t.targetKey] = t
	return t
}

// unregister forgets a claim and its targets; c.mu is held.
func (r *Router) unregister(c *Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.claims, c)
	for _, t := range c.targets {
		if r.targets[t.targetKey] == t {
			delete(r.targets, t.targetKey)
		}
	}
}

// target finds the target of a claimed port, or makes one that keeps nothing.
func (r *Router) target(id string, port uint16) *target {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.targets[targetKey{id, port}]; ok {
		return t
	}
	return &target{targetKey: targetKey{id, port}, router: r, retired: true}
}

// dial reaches the app within the wake time-out, and says how long the wake took,
// or the failure. Its errors are *fault.Error.
func (t *target) dial(ctx context.Context) (net.Conn, time.Duration, error) {
	wake := t.router.wake
	ctx, cancel := context.WithTimeout(ctx, wake)
	defer cancel()
	began := time.Now()
	conn, waited, err := t.router.backend.Dial(ctx, t.id, t.port)
	if err != nil {
		waited = time.Since(began)
	}
	var known *fault.Error
	switch {
	case err == nil:
		return conn, waited, nil
	case errors.As(err, &known):
		return nil, waited, err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, waited, t.fault(fault.Timeout, fmt.Sprintf("nothing answered on port %d within %v", t.port, wake), err)
	}
	return nil, waited, t.fault(fault.Internal, fmt.Sprintf("port %d could not be reached", t.port), err)
}

func (t *target) fault(kind fault.Kind, why string, cause error) error {
	return &fault.Error{Kind: kind, Subject: t.id, What: fmt.Sprintf("connect to instance %q", t.id), Why: why, Cause: cause}
}

// fresh makes a new HTTP connection to the app, which the caller uses once and
// gives back with park.
func (t *target) fresh(ctx context.Context, h2 bool) (*link, time.Duration, error) {
	t.mu.Lock()
	era := t.era // before the dial: a rest during it counts
	t.mu.Unlock()
	conn, waited, err := t.dial(ctx)
	if err != nil {
		return nil, waited, err
	}
	transport := t.router.h1
	if h2 {
		transport = t.router.h2
	}
	cc, err := transport.NewClientConn(context.WithValue(ctx, dialledKey{}, conn), "http", "guest:80")
	if err != nil {
		conn.Close()
		return nil, waited, t.fault(fault.Internal, "the connection broke at once", err)
	}
	l := &link{ClientConn: cc, h2: h2, era: era, uses: 1}
	if h2 {
		t.share(l)
	}
	return l, waited, nil
}

// share lets other streams use a new HTTP/2 connection.
func (t *target) share(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.retired {
		t.links = append(t.links, l)
	}
}

// kept takes a connection that is there already, the one used last; nil if none
// can take a request.
func (t *target) kept(h2 bool) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, l := range slices.Backward(t.links) {
		if l.h2 != h2 || l.era != t.era || l.Reserve() != nil {
			continue
		}
		if l.idle != nil {
			l.idle.Stop()
		}
		l.uses++
		if !h2 {
			t.links = slices.Delete(t.links, i, i+1)
		}
		return l
	}
	return nil
}

// park ends one use of a connection: the last one keeps it for a while if it can
// serve again, and closes it otherwise.
func (t *target) park(l *link) {
	if t.unused(l) {
		l.Close()
	}
}

// unused reports whether a connection that was given back has to be closed.
func (t *target) unused(l *link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.uses--
	if l.uses > 0 {
		return false
	}
	if t.retired || l.era != t.era || l.Available() == 0 || !l.h2 && len(t.links) >= maxKept {
		t.forget(l)
		return true
	}
	if !l.h2 {
		t.links = append(t.links, l)
	}
	l.idle = time.AfterFunc(t.router.limits.keep, func() { t.expire(l) })
	return false
}

// expire closes a connection that nothing used. One that was used and parked
// again meanwhile may go a little early.
func (t *target) expire(l *link) {
	t.mu.Lock()
	idle := l.uses == 0
	if idle {
		t.forget(l)
	}
	t.mu.Unlock()
	if idle {
		l.Close()
	}
}

// rest closes every connection that nothing uses now, and sees to it that the
// others take no new exchange and are closed after the last.
func (t *target) rest() {
	t.mu.Lock()
	t.era++
	var idle []*link
	for _, l := range slices.Clone(t.links) {
		if l.uses == 0 {
			l.idle.Stop()
			t.forget(l)
			idle = append(idle, l)
		}
	}
	t.mu.Unlock()
	for _, l := range idle {
		l.Close()
	}
}

// retire makes the target keep nothing from now on.
func (t *target) retire() {
	t.mu.Lock()
	t.retired = true
	t.mu.Unlock()
	t.rest()
}

// forget takes a connection off the list; t.mu is held. Its Close comes after the
// lock: it tells the instance's owner, who may be about to call rest.
func (t *target) forget(l *link) {
	t.links = slices.DeleteFunc(t.links, func(other *link) bool { return other == l })
}
