// Package router is the way in: it owns every host port on which clients reach
// instances, that is the static exposed ports and the one HTTP front door.
//
// The daemon makes one Router; the engine claims an instance's ports with it and
// answers it as Backend. The router wakes an instance by dialling it, carries
// bytes, and says why when it can't. It never decides a state, never keeps a
// record, and reads of a guest's bytes only what an HTTP proxy must, with the
// standard library's parser and bounded sizes.
//
// # Connections to the guest
//
// A connection that Backend.Dial gives counts as activity, so the router keeps
// none for long: after an HTTP exchange it is kept for half a second for the next
// one, and closed. On a kept connection goes only a request that may be sent
// twice (no body, and a method that changes nothing), and when that fails before
// an answer it is sent again, once, on a new connection. Everything else gets a
// new connection, so that no client sees an error because a kept one died in a
// pause. HTTP/2 streams share a connection, as their client does.
package router

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// Backend is how the router reaches instances. The engine implements it. Its
// methods are called concurrently, and never with a lock of the router held.
type Backend interface {
	// Dial connects to a guest port of the instance with this ID, waking it first
	// if need be, and returns when the app listens or ctx ends. The connection has
	// CloseWrite, counts as activity until it is closed, and may be closed more than
	// once and while it is read or written. waited is how long
	// the wake took, 0 when the instance was running. Errors are *fault.Error
	// (WrongState when the user stopped it, Timeout, Backoff, BootFailed, NotFound …):
	// their public part goes to the client.
	Dial(ctx context.Context, id string, port uint16) (conn net.Conn, waited time.Duration, err error)

	// Lookup finds what is behind a name at the front door: the instance's ID and
	// its exposed guest port, the first one for port 0. A name or a port that is
	// not there is fault.NotFound.
	Lookup(name string, port uint16) (id string, guestPort uint16, err error)
}

// Options shape a Router. The zero value works.
type Options struct {
	// WakeTimeout is how long a client waits for an instance that must be woken;
	// 0 is 30 s (SPEC §5).
	WakeTimeout time.Duration
	// Given reports whether a host port belongs to an instance, whether or not it
	// listens now. Such a port is never chosen for another; nil is never. It is
	// called within Claim.
	Given func(port uint16) bool
	// Logger gets what nobody else is told, at debug level mostly; nil discards it.
	Logger *slog.Logger
}

// limits are the router's own bounds. Tests shorten them.
type limits struct {
	conns      int           // open client connections of one claim, or of the front door
	header     time.Duration // until a client has sent a request's header
	idle       time.Duration // of a client's connection between two requests
	keep       time.Duration // of a guest connection between two exchanges
	headBytes  int           // of a request's header
	replyBytes int64         // of a response's header: it comes from the guest
}

var defaultLimits = limits{
	conns:      4096,
	header:     10 * time.Second,
	idle:       2 * time.Minute,
	keep:       500 * time.Millisecond,
	headBytes:  256 << 10,
	replyBytes: 1 << 20,
}

// Router owns the listeners. Its methods are safe for concurrent use.
type Router struct {
	backend Backend
	wake    time.Duration
	given   func(uint16) bool
	log     *slog.Logger
	limits  limits
	proxy   *httputil.ReverseProxy
	h1, h2  *http.Transport // they only make ClientConns: the kept ones are in targets

	mu      sync.Mutex
	claims  map[*Claim]struct{}
	targets map[targetKey]*target
	door    *door
	closed  bool
}

// New makes a Router that listens nowhere yet.
func New(backend Backend, opts Options) *Router {
	r := &Router{
		backend: backend,
		wake:    opts.WakeTimeout,
		given:   opts.Given,
		log:     opts.Logger,
		limits:  defaultLimits,
		claims:  make(map[*Claim]struct{}),
		targets: make(map[targetKey]*target),
	}
	if r.wake <= 0 {
		r.wake = 30 * time.Second
	}
	if r.given == nil {
		r.given = func(uint16) bool { return false }
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.h1, r.h2 = newTransport(false, r.limits), newTransport(true, r.limits)
	r.proxy = r.newProxy()
	return r
}

// Close ends the front door and every claim. Claims may still be closed after it.
func (r *Router) Close() error {
	r.mu.Lock()
	r.closed = true
	var all []io.Closer
	for c := range r.claims {
		all = append(all, c)
	}
	if r.door != nil {
		all = append(all, r.door)
	}
	r.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	return nil
}
