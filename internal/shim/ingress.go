package shim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"aegis/internal/shim/broker"
	"aegis/internal/wire"
)

// maxIngress bounds the ports that are reached over the network: for each the guest's
// kernel has a rule that it looks at for every way it looks up.
const maxIngress = 16

// ingressRest is how long a guest is not tried again that let a stream go unanswered.
const ingressRest = 10 * time.Second

// serves notes who is asked to carry streams to the guest.
func (n *network) serves(s *broker.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = s
}

// carrier is who to ask for a stream to a port, or nil if it can't come over the network.
func (n *network) carrier(port uint16, now time.Time) *broker.Server {
	if n == nil || !slices.Contains(n.ports, port) {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Before(n.rests) {
		return nil
	}
	return n.server
}

// metered counts what a stream on the link carries.
func (n *network) metered(stream halfCloser) halfCloser {
	if n == nil {
		return stream
	}
	return metered{stream, n}
}

type metered struct {
	halfCloser
	n *network
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.halfCloser.Read(p)
	m.n.served.Add(uint64(n))
	return n, err
}

func (m metered) Write(p []byte) (int, error) {
	n, err := m.halfCloser.Write(p)
	m.n.asked.Add(uint64(n))
	return n, err
}

// rest leaves a guest alone for a while.
func (n *network) rest(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rests = now.Add(ingressRest)
}

// enter hands the connection to the network's helper, which carries it to a port of
// the guest's loopback: with one process less in between than the link, and none in the
// guest. It reports false where that is not to be had, for whatever reason, and the
// connection is untouched: a link's dial tries longer, at more addresses, and knows
// why. An error means that the connection can't be used.
func (r *run) enter(ctx context.Context, conn net.Conn, port uint16) (bool, error) {
	if !r.nic || !r.link.Ingress() {
		return false, nil
	}
	helper := r.network.carrier(port, time.Now())
	if helper == nil {
		return false, nil
	}
	var greeting bytes.Buffer
	if err := wire.WriteMessage(&greeting, reply{}, maxMessage); err != nil {
		return false, err
	}
	err := helper.Join(ctx, conn, port, greeting.Bytes())
	if errors.Is(err, broker.ErrUnanswered) {
		r.network.rest(time.Now())
	}
	if refusal := (*broker.Refusal)(nil); errors.As(err, &refusal) {
		return false, nil
	}
	return err == nil, err
}
