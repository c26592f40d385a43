package router

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/undo"
)

// Claim is the exposed ports of one instance, bound. Clients may connect from the
// moment it is made; they wait until Serve. Its methods are safe for concurrent use.
type Claim struct {
	router   *Router
	binds    []bind
	visitors *visitors
	ctx      context.Context
	cancel   context.CancelFunc

	mu      sync.Mutex
	id      string // "" until Serve
	servers []*http.Server
	targets []*target
	drained bool
}

// Claim binds every port, or none. Where Host is 0 it chooses a free port of the
// address, one that is not Given to an instance and that the kernel does not hand
// out to outgoing connections, so that it is still free after a restart. A port
// that somebody has is fault.PortTaken and names the holder; an address that this
// host does not have, or a port that needs privileges, is fault.Invalid.
func (r *Router) Claim(ports []instance.Port) (*Claim, error) {
	var u undo.Stack
	defer u.Run()
	c := &Claim{router: r, visitors: newVisitors(r.limits.conns)}
	// Given ports first: a chosen one must not take what this same claim names.
	for _, chosen := range []bool{false, true} {
		for _, p := range ports {
			if (p.Host == 0) != chosen {
				continue
			}
			b, err := r.bind(p)
			if err != nil {
				return nil, err
			}
			u.Add(func() { b.Listener.Close() })
			c.binds = append(c.binds, b)
		}
	}
	c.sort(ports)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fault.New(fault.Cancelled, "", "expose ports", "the daemon is going down")
	}
	r.claims[c] = struct{}{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	u.Keep()
	return c, nil
}

// sort puts the binds into the order of the ports that were asked for.
func (c *Claim) sort(ports []instance.Port) {
	slices.SortStableFunc(c.binds, func(a, b bind) int { return order(ports, a.port) - order(ports, b.port) })
}

// order is the place of a bound port among those asked for.
func order(ports []instance.Port, p instance.Port) int {
	return slices.IndexFunc(ports, func(q instance.Port) bool {
		return q.Guest == p.Guest && q.Protocol == p.Protocol && (q.Host == 0 || q.Host == p.Host)
	})
}

// Ports are the claimed ports in the order asked for, with IP and Host filled.
func (c *Claim) Ports() []instance.Port {
	ports := make([]instance.Port, len(c.binds))
	for i, b := range c.binds {
		ports[i] = b.port
	}
	return ports
}

// Serve begins to accept, for the instance with this ID. Once is enough; a second
// call and one after Close do nothing.
func (c *Claim) Serve(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" || c.drained {
		return
	}
	c.id = id
	for _, b := range c.binds {
		l := c.visitors.admit(b.Listener)
		t := c.router.register(id, b.port.Guest)
		c.targets = append(c.targets, t)
		if b.port.Protocol == instance.TCP {
			go c.router.serveTCP(c.ctx, l, c.visitors, t)
			continue
		}
		srv := c.router.newServer(c.ctx, c.visitors.handler(func(w http.ResponseWriter, req *http.Request) {
			c.router.serveHTTP(w, req, t)
		}))
		c.servers = append(c.servers, srv)
		go srv.Serve(l)
	}
}

// Rest makes the next request dial, and so wake: connections to the guest that are
// kept are closed, and those in use are not kept afterwards. The engine calls it
// before it pauses or stops the instance on a user's word; after an idle pause
// there are none, since each counts as activity.
func (c *Claim) Rest() {
	c.mu.Lock()
	targets := c.targets
	c.mu.Unlock()
	for _, t := range targets {
		t.rest()
	}
}

// Drain closes the listeners and lets the open connections go on until they end or
// Close is called. The ports are free for others from now on.
func (c *Claim) Drain() {
	c.mu.Lock()
	c.drained = true // so that servers and targets stay as they are
	for _, srv := range c.servers {
		srv.SetKeepAlivesEnabled(false)
	}
	for _, b := range c.binds {
		b.Listener.Close()
	}
	c.router.unregister(c)
	targets := c.targets
	c.mu.Unlock()
	for _, t := range targets {
		t.retire()
	}
}

// Close drains and ends every open connection, and returns when their goroutines
// have ended. It is idempotent.
func (c *Claim) Close() error {
	c.Drain()
	c.cancel()
	c.mu.Lock()
	servers := c.servers
	c.mu.Unlock()
	for _, srv := range servers {
		srv.Close()
	}
	if !c.visitors.close() {
		c.router.log.Warn("connections outlive their claim", "instance", c.id)
	}
	return nil
}

// holds reports whether the claim has bound this port of an address that overlaps.
func (c *Claim) holds(addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(c.binds, func(b bind) bool {
		return b.port.Host == port && overlap(b.addr, addr)
	})
}
