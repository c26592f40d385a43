//go:build linux

package harness

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"aegis/internal/harness/http1"
	"aegis/internal/wire"
)

// selfSocket is where processes of the guest ask about their own instance.
const selfSocket = "/run/aegis.sock"

// maxCallers is how many connections to the socket are answered at once; others
// wait to be accepted.
const maxCallers = 16

// self answers the guest's own processes about their instance, and asks the host
// in their name. It can do nothing but keep this one instance awake, so it asks
// nobody who they are: every user of the guest may use it.
type self struct {
	path string        // of the socket; empty: there is none
	asks chan question // to whoever serves the host's watch

	mu     sync.Mutex
	facts  wire.Self
	lease  lease
	open   net.Listener
	talks  map[net.Conn]struct{}
	closed bool
}

func newSelf(path string) *self {
	return &self{path: path, asks: make(chan question), talks: map[net.Conn]struct{}{}}
}

// listen makes the socket, before any process of the user's runs; after close too,
// since a rehearsal has one.
func (s *self) listen(facts *wire.Self) error {
	if s.path == "" || facts == nil {
		return nil
	}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		return err
	}
	if err := os.Chmod(s.path, 0o666); err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	s.facts, s.open, s.closed = *facts, l, false
	s.mu.Unlock()
	go s.accept(l)
	return nil
}

// accept serves connections until close.
func (s *self) accept(l net.Listener) {
	defer endOnPanic()
	slots := make(chan struct{}, maxCallers)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, for now
			<-slots
			continue
		}
		go func() {
			defer endOnPanic()
			defer func() { <-slots }()
			s.talk(conn)
		}()
	}
}

// talk answers one connection, unless the socket was closed meanwhile.
func (s *self) talk(conn net.Conn) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		conn.Close()
		return
	}
	s.talks[conn] = struct{}{}
	s.mu.Unlock()
	http1.Serve(conn, s.route)
	s.mu.Lock()
	delete(s.talks, conn)
	s.mu.Unlock()
}

// close ends the socket and every connection to it: they hold the mount of /run.
// It is idempotent.
func (s *self) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.open != nil {
		s.open.Close()
	}
	for conn := range s.talks {
		conn.Close()
	}
}
