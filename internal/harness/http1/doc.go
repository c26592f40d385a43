// Package http1 answers HTTP/1.1 (RFC 9112) on one connection at a time, for a few
// short JSON messages: what a socket inside the guest needs, without the size of
// the standard library's server in PID 1.
//
// Who calls it: the harness, for /run/aegis.sock. Any process of the guest is at
// the other end, so every size and time is bounded, and what is not understood is
// refused and ends the connection. It never opens a socket, knows no route, and
// speaks neither TLS, chunked bodies nor upgrades.
package http1

import "time"

// Limits of one request.
const (
	MaxHead  = 8 << 10          // bytes: request line and fields
	MaxBody  = 4 << 10          // bytes
	Patience = 10 * time.Second // until a request has come whole, an idle connection's wait included; also for writing its answer
)

// Request is one request. Its fields were checked against the grammar.
type Request struct {
	Method string
	Path   string // as sent: neither decoded nor cleaned, without a query
	Body   []byte
}

// Response is the answer to a Request.
type Response struct {
	Status int
	Type   string // media type of Body; empty without one
	Allow  string // methods, for a 405
	Body   []byte
}

// Handler answers requests. It bounds its own time.
type Handler func(Request) Response
