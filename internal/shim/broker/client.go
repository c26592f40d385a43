package broker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"aegis/internal/netstack"
	"aegis/internal/wire"
)

// Client asks a Server. It is a netstack.Dialer and a netstack.Resolver.
type Client struct {
	conn *net.UnixConn

	writing sync.Mutex // keeps requests whole; never taken with mu, which replies need

	mu      sync.Mutex
	last    uint32
	waiting map[uint32]chan result
	over    error
	arrived chan netstack.Arrival
}

// result is a reply with its socket.
type result struct {
	reply
	conn net.Conn
	err  error
}

// NewClient takes the connection over. Run must run.
func NewClient(conn *net.UnixConn) *Client {
	return &Client{conn: conn, waiting: map[uint32]chan result{}, arrived: make(chan netstack.Arrival)}
}

// Run takes replies until the connection ends, and returns why.
func (c *Client) Run() error {
	in := &reader{conn: c.conn}
	defer in.drop()
	messages := bufio.NewReader(in) // sockets are kept in order, so ahead of their messages is no harm
	for {
		var rep reply
		if err := wire.ReadMessage(messages, &rep, maxReply); err != nil {
			c.end(err)
			return err
		}
		res := result{reply: rep}
		if rep.Passed {
			res.conn, res.err = in.socket()
		}
		if rep.Join != nil && res.conn != nil {
			go c.arrive(*rep.Join, res.conn)
			continue
		}
		c.deliver(res)
	}
}

// Arrivals are the streams that the server passes.
func (c *Client) Arrivals() <-chan netstack.Arrival { return c.arrived }

func (c *Client) arrive(j join, conn net.Conn) {
	done := func(err error) {
		said := joined{ID: j.ID}
		if err != nil {
			said.Error, said.Unanswered = err.Error(), errors.Is(err, context.DeadlineExceeded)
		}
		c.write(request{Joined: &said})
	}
	c.arrived <- netstack.Arrival{Conn: conn, Port: j.Port, Greeting: j.Greeting, Done: done}
}

// deliver gives a result to whoever waits, or closes its socket.
func (c *Client) deliver(res result) {
	c.mu.Lock()
	to := c.waiting[res.ID]
	delete(c.waiting, res.ID)
	c.mu.Unlock()
	if to != nil {
		to <- res
	} else if res.conn != nil {
		res.conn.Close()
	}
}

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = err
	for id, to := range c.waiting {
		to <- result{err: err}
		delete(c.waiting, id)
	}
}

// ask sends a request and waits for its reply.
func (c *Client) ask(ctx context.Context, req request) (result, error) {
	to := make(chan result, 1)
	c.mu.Lock()
	if c.over != nil {
		c.mu.Unlock()
		return result{}, c.over
	}
	c.last++
	req.ID = c.last
	c.waiting[req.ID] = to
	c.mu.Unlock()
	err := c.write(req)
	if err == nil {
		select {
		case res := <-to:
			if res.err == nil && res.Error != "" {
				res.err = errors.New(res.Error)
			}
			return res, res.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock()
	delete(c.waiting, req.ID)
	c.mu.Unlock()
	select {
	case res := <-to: // it came after all
		if res.conn != nil {
			res.conn.Close()
		}
	default:
	}
	return result{}, err
}

// Dial implements netstack.Dialer.
func (c *Client) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	res, err := c.ask(ctx, request{Dial: &dial{network, to}})
	if err == nil && res.conn == nil {
		err = errors.New("no socket came with the reply")
	}
	return res.conn, err
}

// Resolve implements netstack.Resolver.
func (c *Client) Resolve(ctx context.Context, name string, qtype uint16) ([]byte, error) {
	res, err := c.ask(ctx, request{Ask: &question{name, qtype}})
	return res.Answer, err
}

// Count tells the counters.
func (c *Client) Count(counts Counts) error {
	return c.write(request{Counts: &counts})
}

func (c *Client) write(req request) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return wire.WriteMessage(c.conn, req, maxRequest)
}

// reader reads bytes, and keeps the sockets that come with them in order.
type reader struct {
	conn *net.UnixConn
	fds  []int
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := r.conn.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, net.ErrClosed
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return n, err
	}
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			r.fds = append(r.fds, fds...)
		}
	}
	return n, nil
}

// socket is the next one that came.
func (r *reader) socket() (net.Conn, error) {
	if len(r.fds) == 0 {
		return nil, errors.New("no socket came with the reply")
	}
	f := os.NewFile(uintptr(r.fds[0]), "egress")
	r.fds = r.fds[1:]
	defer f.Close()
	return net.FileConn(f)
}

func (r *reader) drop() {
	for _, fd := range r.fds {
		unix.Close(fd)
	}
	r.fds = nil
}
