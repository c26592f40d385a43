package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// chatty is a client that has said one thing; its next read shows that the relay
// has gone on after the process refused to hear it.
type chatty struct {
	net.Conn
	words   io.Reader
	drained chan struct{}
	heard   bytes.Buffer
}

func (c *chatty) Read(p []byte) (int, error) {
	if n, _ := c.words.Read(p); n > 0 {
		return n, nil
	}
	close(c.drained)
	select {} // it never ends
}

func (c *chatty) Write(p []byte) (int, error) { return c.heard.Write(p) }

// deaf is a process that hears nothing and has last words, unless it is closed
// before the client was read on.
type deaf struct {
	net.Conn
	words   io.Reader
	drained chan struct{}
	closed  chan struct{}
	once    sync.Once
}

func (d *deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func (d *deaf) Read(p []byte) (int, error) {
	select {
	case <-d.drained:
		return d.words.Read(p)
	case <-d.closed:
		return 0, net.ErrClosed
	}
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// TestLastWordsOfADeafProcess pins a lost exit frame: a process that ended while
// its client still sent was cut off before its exit had been read.
func TestLastWordsOfADeafProcess(t *testing.T) {
	drained := make(chan struct{})
	conn := &chatty{words: bytes.NewReader([]byte("stdin")), drained: drained}
	process := &deaf{words: bytes.NewReader([]byte("exit")), drained: drained, closed: make(chan struct{})}
	relay(conn, process)
	if got := conn.heard.String(); got != "exit" {
		t.Errorf("the client heard %q", got)
	}
}
