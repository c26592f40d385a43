package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"aegis/internal/fault"
	"aegis/internal/version"
)

// VersionHeader names the program's version in every request and answer. A
// daemon of another version refuses all but its version, its status and down.
const VersionHeader = "Aegis-Version"

// maxAnswer bounds a JSON answer, in bytes: a thousand instances with long
// environments fit many times over.
const maxAnswer = 256 << 20

// Client speaks to one aegisd. Its methods may be called by several goroutines
// at once. Every error that the daemon or the way to it causes is an *Error.
type Client struct {
	place string // where the daemon listens, for errors
	url   string // of the daemon, without a path
	token string // empty: none is asked for
	http  *http.Client
	dial  func(context.Context) (net.Conn, error)
	open  chan net.Conn // at most one, that Reach has dialled and no request has taken

	revive func(context.Context) error // nil: a daemon that went is not started again
}

// New makes a Client of the daemon that listens at a unix socket. It connects
// to nothing yet.
func New(socketPath string) *Client {
	return reach(&Client{place: socketPath, url: "http://aegisd"}, "unix", socketPath)
}

// Dial makes a Client of the daemon that listens at a TCP address, "127.0.0.1:9000",
// where it is configured to; token is the text of its file api.token. There is no
// TLS: who reads the traffic has the token. It connects to nothing yet, and never
// asks a proxy.
func Dial(address, token string) *Client {
	return reach(&Client{place: address, url: "http://" + address, token: token}, "tcp", address)
}

// reach gives c its way to the daemon.
func reach(c *Client, network, address string) *Client {
	c.open = make(chan net.Conn, 1)
	c.dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case conn := <-c.open:
			return conn, nil
		default:
			return c.dial(ctx)
		}
	}
	c.http = &http.Client{Transport: &http.Transport{DialContext: dial}, CheckRedirect: stay}
	return c
}

// Reach reports whether a daemon listens; the first request then goes over the
// connection that it makes, and should come soon: a daemon ends a connection that
// stays silent for seconds. Which daemon it is, the answer of any request tells.
func (c *Client) Reach(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return c.unreachable(ctx, "reach the daemon", err)
	}
	select {
	case c.open <- conn:
	default:
		conn.Close()
	}
	return nil
}

// stay follows no redirect: a daemon sends none, and the token is for it alone.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close ends idle connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	select {
	case conn := <-c.open:
		conn.Close()
	default:
	}
}

// request sends one request below /v1 and returns an answer with a status of
// success, whose Body the caller closes. what names the act in errors.
func (c *Client) request(ctx context.Context, what, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/"+version.API+path, body)
	if err != nil {
		return nil, problem(fault.Usage, "", what, err.Error(), err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set(VersionHeader, version.Version)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.send(req, what)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readProblem(resp, what)
	}
	return resp, nil
}

// call sends in as JSON, unless it is nil, and reads the answer into out, unless
// that is nil.
func (c *Client) call(ctx context.Context, what, method, path string, in, out any) error {
	body, header, err := encode(what, in)
	if err != nil {
		return err
	}
	resp, err := c.request(ctx, what, method, path, body, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return c.broken(ctx, what, err)
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // to its end, so that the connection is used again
	return nil
}

func encode(what string, in any) (io.Reader, http.Header, error) {
	if in == nil {
		return nil, nil, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, nil, problem(fault.Usage, "", what, err.Error(), err)
	}
	return bytes.NewReader(body), http.Header{"Content-Type": {"application/json"}}, nil
}

// unreachable explains why no answer came at all.
func (c *Client) unreachable(ctx context.Context, what string, err error) error {
	if e := ended(ctx, what, err); e != nil {
		return e
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return problem(fault.Unreachable, c.place, what, "no daemon answers at "+c.place, err)
	}
	return problem(fault.Unreachable, c.place, what, "the daemon ended the connection before it answered", err)
}

// broken explains why an answer stopped in the middle.
func (c *Client) broken(ctx context.Context, what string, err error) error {
	if e := ended(ctx, what, err); e != nil {
		return e
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) {
		return problem(fault.Internal, "", what, "the daemon's answer can't be read: "+err.Error(), err)
	}
	return problem(fault.Unreachable, c.place, what, "the daemon went away in the middle of its answer", err)
}

// at builds the path of one thing, with its name escaped.
func at(collection, name, verb string) string {
	path := "/" + collection + "/" + url.PathEscape(name)
	if verb != "" {
		path += "/" + verb
	}
	return path
}
