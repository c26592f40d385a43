package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// reviveTimeout bounds how long one request outlasts daemons that go.
	reviveTimeout = 10 * time.Second
	// reviveEvery is the pause between two tries.
	reviveEvery = 50 * time.Millisecond
)

// Revive makes requests outlast a daemon that was killed a moment ago: it may still
// take connections, and ends them without an answer. start is then called, has to see
// to a daemon that listens, and the request is sent again, for ten seconds at most: one
// that changes nothing, and any other that no daemon has read. It is called before the
// first request.
func (c *Client) Revive(start func(context.Context) error) { c.revive = start }

// send sends a request whose body is nil or can be read once more, as often as Revive allows.
func (c *Client) send(req *http.Request, what string) (*http.Response, error) {
	ctx := req.Context()
	for deadline := time.Now().Add(reviveTimeout); ; {
		resp, err := c.http.Do(req)
		if err == nil {
			return resp, nil
		}
		if c.revive == nil || !unread(req, err) || ctx.Err() != nil || time.Now().After(deadline) {
			return nil, c.unreachable(ctx, what, err)
		}
		select {
		case <-ctx.Done():
			return nil, c.unreachable(ctx, what, ctx.Err())
		case <-time.After(reviveEvery):
		}
		if err := c.revive(ctx); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			req.Body, _ = req.GetBody() // of bytes, which are always there
		}
	}
}

// unread reports whether a request that failed can be sent again: it changes nothing, or
// no daemon has read it. A connection that a daemon had not taken, or whose request it
// had not read to the end, is reset when it goes (unix(7), unix_release_sock in the
// kernel); one whose request it had read ends. A daemon acts on a request once it
// has read all of it.
func unread(req *http.Request, err error) bool {
	if req.Body != nil && req.GetBody == nil { // a stream, and some of it may be gone
		return false
	}
	var op *net.OpError
	return req.Method == http.MethodGet || errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
