package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"aegis/internal/egress"
	"aegis/internal/resolve"
	"aegis/internal/wire"
)

// Server decides and dials for one guest. Its functions may be called by several
// goroutines at once.
type Server struct {
	Policy *egress.Policy
	Lookup func(ctx context.Context, name string, qtype dnsmessage.Type) (resolve.Answer, error)
	Own    func(to netip.Addr) (bool, error) // it is the host's own address, now
	Dial   func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
	Denied func(network string, why *egress.Denied)
	Counts func(Counts)

	joins joins
}

// Serve answers the helper until the connection ends or ctx does; it closes the
// connection.
func (s *Server) Serve(ctx context.Context, conn *net.UnixConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	out := &writer{conn: conn}
	s.joins.open(out)
	defer s.joins.close()
	pending := make(chan struct{}, maxPending)
	limit := rate.NewLimiter(perSecond, burst)
	requests := bufio.NewReaderSize(conn, maxRequest)
	for {
		var req request
		if err := wire.ReadMessage(requests, &req, maxRequest); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return err
		}
		if req.Counts != nil {
			s.Counts(*req.Counts)
			continue
		}
		if req.Joined != nil {
			s.joins.answer(*req.Joined)
			continue
		}
		select {
		case pending <- struct{}{}:
		default:
			out.reply(reply{ID: req.ID, Error: "too much is asked for at once"}, nil)
			continue
		}
		if !limit.Allow() {
			<-pending
			out.reply(reply{ID: req.ID, Error: "too much is asked for in too short a time"}, nil)
			continue
		}
		go func() {
			defer func() { <-pending }()
			s.answer(ctx, out, req)
		}()
	}
}

func (s *Server) answer(ctx context.Context, out *writer, req request) {
	rep := reply{ID: req.ID}
	switch {
	case req.Dial != nil:
		conn, err := s.dial(ctx, *req.Dial)
		if err == nil {
			rep.Passed = true
			out.reply(rep, conn)
			conn.Close()
			return
		}
		rep.Error = err.Error()
	case req.Ask != nil:
		var err error
		if rep.Answer, err = s.ask(ctx, *req.Ask); err != nil {
			rep.Error = err.Error()
		}
	default:
		rep.Error = "nothing was asked for"
	}
	rep.Error = rep.Error[:min(len(rep.Error), 512)]
	out.reply(rep, nil)
}

const dnsPort = 53

// dial decides, then dials: the address itself, which nothing resolves again.
func (s *Server) dial(ctx context.Context, d dial) (net.Conn, error) {
	if d.Network != "tcp" && d.Network != "udp" && d.Network != "icmp" || !d.To.IsValid() {
		return nil, fmt.Errorf("%.20q is no network", d.Network)
	}
	if err := s.decide(d); err != nil {
		if denied := (*egress.Denied)(nil); errors.As(err, &denied) {
			s.Denied(d.Network, denied)
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return s.Dial(ctx, d.Network, d.To)
}

func (s *Server) decide(d dial) error {
	own, err := s.Own(d.To.Addr())
	if err != nil {
		return fmt.Errorf("ask whether the address is the host's: %w", err) // and so not allowed
	}
	if err := s.Policy.Address(d.To.Addr(), own, time.Now()); err != nil {
		return aim(err, d)
	}
	if d.Network != "icmp" && d.To.Port() == dnsPort {
		return &egress.Denied{Target: d.To.String(), Class: egress.Classify(d.To.Addr()), Why: "DNS goes through the gateway"}
	}
	return nil
}

// aim adds the port to a refusal.
func aim(err error, d dial) error {
	denied, ok := err.(*egress.Denied)
	if ok && d.Network != "icmp" {
		denied.Target = d.To.String()
	}
	return err
}

// ask resolves a name that may be asked for, and notes where it leads.
func (s *Server) ask(ctx context.Context, q question) ([]byte, error) {
	name, err := dnsmessage.NewName(q.Name)
	if err != nil {
		return nil, err
	}
	var found resolve.Answer
	if err := s.Policy.Name(q.Name); err != nil {
		if denied := (*egress.Denied)(nil); errors.As(err, &denied) {
			s.Denied("dns", denied)
		}
		found.Code = dnsmessage.RCodeNameError
	} else {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if found, err = s.Lookup(ctx, q.Name, dnsmessage.Type(q.Type)); err != nil {
			return nil, err
		}
		s.Policy.Resolved(found.Addrs, found.TTL, time.Now())
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: found.Code},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.Type(q.Type), Class: dnsmessage.ClassINET}},
		Answers:   found.Records,
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if len(packed) > maxAnswer {
		return nil, fmt.Errorf("the answer has %d bytes, more than a message may", len(packed))
	}
	return packed, nil
}

// writer sends replies, one at a time.
type writer struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

// reply writes a message, with a socket or nil. A failure ends the connection: half
// a message can't be followed by another.
func (w *writer) reply(rep reply, pass net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	var err error
	if pass == nil {
		err = wire.WriteMessage(w.conn, rep, maxReply)
	} else {
		err = w.pass(rep, pass)
	}
	if err != nil {
		w.conn.Close()
	}
}

// pass sends the socket with the message, whose first byte has it.
func (w *writer) pass(rep reply, socket net.Conn) error {
	sc, ok := socket.(syscall.Conn)
	if !ok {
		return errors.New("the connection is no socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	body := &message{}
	if err := wire.WriteMessage(body, rep, maxReply); err != nil {
		return err
	}
	var n int
	var sent error
	if err := raw.Control(func(fd uintptr) {
		n, _, sent = w.conn.WriteMsgUnix(body.bytes, unix.UnixRights(int(fd)), nil)
	}); err != nil {
		return err
	}
	if sent != nil {
		return sent
	}
	_, err = w.conn.Write(body.bytes[n:])
	return err
}

// message keeps what is written to it.
type message struct{ bytes []byte }

func (m *message) Write(b []byte) (int, error) {
	m.bytes = append(m.bytes, b...)
	return len(b), nil
}
