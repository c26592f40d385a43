package router

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// Chosen ports lie below the ranges from which kernels serve outgoing connections
// (32768 up on Linux, ip_local_port_range; 49152 up on macOS) and below the node
// ports of Kubernetes (30000): nobody else's luck can take one while its
// instance does not listen.
const (
	firstChosen = 20000
	lastChosen  = 29999
)

// bind is one exposed port, filled in, and its listener.
type bind struct {
	port instance.Port
	addr netip.Addr
	net.Listener
}

// bind binds one port, choosing its number where Host is 0.
func (r *Router) bind(p instance.Port) (bind, error) {
	if p.IP == "" {
		p.IP = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(p.IP)
	if err != nil || addr.Zone() != "" {
		return bind{}, fault.New(fault.Invalid, p.IP, "expose a port", "%q is not an IP address", p.IP)
	}
	addr = addr.Unmap()
	p.IP = addr.String()
	if p.Host == 0 {
		return r.choose(addr, p)
	}
	l, err := listenOn(addr, p.Host)
	if err != nil {
		return bind{}, r.explain(addr, p.Host, err)
	}
	return bind{p, addr, l}, nil
}

// choose binds a free port of the address. It begins anywhere in the range, so
// that two daemons seldom meet, and looks at each port once.
func (r *Router) choose(addr netip.Addr, p instance.Port) (bind, error) {
	const n = lastChosen - firstChosen + 1
	start := rand.IntN(n)
	for i := range n {
		p.Host = uint16(firstChosen + (start+i)%n)
		if r.given(p.Host) {
			continue
		}
		l, err := listenOn(addr, p.Host)
		if err == nil {
			return bind{p, addr, l}, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return bind{}, r.explain(addr, p.Host, err)
		}
	}
	return bind{}, fault.New(fault.PortTaken, p.IP, "choose a host port of "+p.IP,
		"every port from %d to %d is taken", firstChosen, lastChosen)
}

// listenOn binds in the address's own family: "tcp" would make 0.0.0.0 mean :: as well.
func listenOn(addr netip.Addr, port uint16) (net.Listener, error) {
	network := "tcp6"
	if addr.Is4() {
		network = "tcp4"
	}
	return net.Listen(network, netip.AddrPortFrom(addr, port).String())
}

// explain turns a refused bind into a sentence.
func (r *Router) explain(addr netip.Addr, port uint16, err error) error {
	what := "expose port " + netip.AddrPortFrom(addr, port).String()
	subject := strconv.Itoa(int(port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e := fault.New(fault.PortTaken, subject, what, "it is held by %s", r.holder(addr, port))
		e.Cause = err
		return e
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e := fault.New(fault.Invalid, subject, what, "this host has no address %s", addr)
		e.Cause = err
		return e
	case errors.Is(err, syscall.EACCES):
		e := fault.New(fault.Invalid, subject, what, "port %d needs privileges that aegisd does not have", port)
		e.Cause = err
		return e
	}
	return fault.New(fault.Internal, subject, what, "%w", err)
}

// holder says who has a port: an instance, the front door, or another process.
func (r *Router) holder(addr netip.Addr, port uint16) string {
	r.mu.Lock()
	for c := range r.claims {
		if c.holds(addr, port) {
			r.mu.Unlock()
			return c.owner()
		}
	}
	door := r.door
	r.mu.Unlock()
	if door != nil && door.holds(addr, port) {
		return "the front door of aegisd"
	}
	if who := process(addr, port); who != "" {
		return who
	}
	return "another process"
}

// owner names the claim's instance.
func (c *Claim) owner() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == "" {
		return "an instance that is being made"
	}
	return fmt.Sprintf("instance %s", c.id)
}

// overlap reports whether two addresses can't both bind one port: they are equal,
// or one is a wildcard. A wildcard of IPv6 is counted against IPv4 as well, since
// other programs bind it for both.
func overlap(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}
