package router

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"aegis/internal/fault"
)

// doorLabel bounds the first label of a front-door name: five digits, a hyphen
// and a name of 63 characters.
const doorLabel = 69

// door is the HTTP front door: one listener for all instances, told apart by Host.
type door struct {
	router   *Router
	listener net.Listener
	server   *http.Server
	visitors *visitors
	cancel   context.CancelFunc
}

// FrontDoor opens the front door at addr ("127.0.0.1:8099"; an IP address and a
// port, port 0 for any) and gives the address it listens on. A port that somebody
// has is fault.PortTaken, an address that can't be had is fault.Invalid. There is
// one front door: a second is fault.WrongState.
func (r *Router) FrontDoor(addr string) (net.Addr, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || at.Addr().Zone() != "" {
		return nil, fault.New(fault.Invalid, addr, "open the front door", "%q is not an IP address and a port", addr)
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	l, err := listenOn(at.Addr(), at.Port())
	if err != nil {
		return nil, r.explain(at.Addr(), at.Port(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &door{router: r, listener: l, visitors: newVisitors(r.limits.conns), cancel: cancel}
	d.server = r.newServer(ctx, d.visitors.handler(d.serve))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.door != nil || r.closed {
		cancel()
		l.Close()
		return nil, fault.New(fault.WrongState, addr, "open the front door", "it is open or the daemon is going down")
	}
	r.door = d
	go d.server.Serve(d.visitors.admit(l))
	return l.Addr(), nil
}

// serve finds the instance behind the name and passes the request on.
func (d *door) serve(w http.ResponseWriter, req *http.Request) {
	id, port, err := d.find(req.Host)
	if err != nil {
		d.router.log.Debug("front door", "host", req.Host, "err", err)
		plain(w, http.StatusNotFound, unknown)
		return
	}
	d.router.serveHTTP(w, req, d.router.target(id, port))
}

// find resolves a Host: NAME.localhost, else GUESTPORT-NAME.localhost. A whole
// name comes first, since an instance may be called "8080-web".
func (d *door) find(host string) (string, uint16, error) {
	label, ok := doorName(host)
	if !ok {
		return "", 0, fault.New(fault.NotFound, "", "open", "%.100q is not a name of the front door", host)
	}
	id, port, err := d.router.backend.Lookup(label, 0)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return id, port, err
	}
	guest, name, ok := portName(label)
	if !ok {
		return "", 0, err
	}
	return d.router.backend.Lookup(name, guest)
}

// doorName takes NAME out of "NAME.localhost", with or without a port and a last
// dot, in any case. Nothing but one label below localhost is served: a page whose
// own domain is made to resolve to 127.0.0.1 gets nowhere (DNS rebinding).
func doorName(host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name, ok := strings.CutSuffix(strings.TrimSuffix(strings.ToLower(host), "."), ".localhost")
	if !ok || name == "" || len(name) > doorLabel {
		return "", false
	}
	for _, c := range []byte(name) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	return name, true
}

// portName splits "8080-web". The number is written as a number is: no zero first.
func portName(label string) (port uint16, name string, ok bool) {
	digits, name, ok := strings.Cut(label, "-")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n == 0 || digits[0] == '0' || name == "" {
		return 0, "", false
	}
	return uint16(n), name, true
}

// holds reports whether the door has this port of an address that overlaps.
func (d *door) holds(addr netip.Addr, port uint16) bool {
	at := d.listener.Addr().(*net.TCPAddr).AddrPort()
	return at.Port() == port && overlap(at.Addr().Unmap(), addr)
}

// Close ends the front door and every connection through it.
func (d *door) Close() error {
	d.cancel()
	d.server.Close()
	if !d.visitors.close() {
		d.router.log.Warn("connections outlive the front door")
	}
	return nil
}
