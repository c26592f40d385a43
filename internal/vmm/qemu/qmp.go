package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// writePatience bounds a write: a batch is shorter than what the socket takes, unless
// QEMU has stopped reading.
const writePatience = 10 * time.Second

// qmp is the control connection of one monitor. Its methods may be called by several
// goroutines at once.
type qmp struct {
	conn    *net.UnixConn
	onEvent func(name string, data json.RawMessage) // called by the one reader; must not wait
	broken  chan struct{}                           // closed when no reply will come any more

	writing sync.Mutex // batches go out one after another

	mu      sync.Mutex
	last    int                    // ID
	waiting map[int]chan<- message // each takes one reply without blocking
	err     error                  // set before broken is closed
}

// newQMP serves the connection until it ends. It takes conn over.
func newQMP(conn *net.UnixConn, onEvent func(string, json.RawMessage)) *qmp {
	q := &qmp{conn: conn, onEvent: onEvent, broken: make(chan struct{}), waiting: map[int]chan<- message{}}
	go q.read()
	return q
}

// read hands on what comes. A message that can't be read ends the connection.
func (q *qmp) read() {
	in := newMessages(q.conn)
	for {
		msg, err := in.next()
		if err != nil {
			q.mu.Lock()
			q.err = fmt.Errorf("the control connection ended: %w", err)
			q.mu.Unlock()
			close(q.broken)
			q.conn.Close()
			return
		}
		switch {
		case msg.Event != "":
			q.onEvent(msg.Event, msg.Data)
		case msg.ID != nil:
			q.answer(msg)
		}
	}
}

// answer gives a reply to whoever waits for it; a reply that nobody asked for is dropped.
func (q *qmp) answer(msg message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.waiting[*msg.ID]; c != nil {
		delete(q.waiting, *msg.ID)
		c <- msg
	}
}

// close ends the connection. The monitor goes on.
func (q *qmp) close() { q.conn.Close() }

// asked is a batch that was sent.
type asked struct {
	q        *qmp
	commands []command
	replies  []chan message
}

// send writes commands in one go, the file with them. QEMU runs them in order, and
// does not stop at one that fails. It may be called before QEMU runs: the bytes wait.
func (q *qmp) send(file *os.File, commands ...command) (asked, error) {
	a := asked{q: q, commands: commands}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	q.mu.Lock()
	for i := range commands {
		q.last++
		commands[i].ID = q.last
		reply := make(chan message, 1)
		q.waiting[q.last] = reply
		a.replies = append(a.replies, reply)
	}
	q.mu.Unlock()
	for _, c := range commands {
		if err := enc.Encode(c); err != nil {
			return a, fmt.Errorf("tell QEMU %s: %w", c.Execute, err)
		}
	}
	if err := q.write(file, out.Bytes()); err != nil {
		a.forget()
		return a, fmt.Errorf("tell QEMU %s: %w", commands[0].Execute, err)
	}
	return a, nil
}

// write sends bytes and a descriptor, which is on the way when it returns.
func (q *qmp) write(file *os.File, text []byte) error {
	q.writing.Lock()
	defer q.writing.Unlock()
	q.conn.SetWriteDeadline(time.Now().Add(writePatience))
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	n, _, err := q.conn.WriteMsgUnix(text, rights, nil)
	if err == nil && n < len(text) {
		_, err = q.conn.Write(text[n:])
	}
	return err
}

// wait is nil when QEMU has run all of the batch, else the first refusal.
func (a asked) wait(ctx context.Context) error {
	defer a.forget()
	for i, c := range a.replies {
		var msg message
		select {
		case msg = <-c:
		case <-a.q.broken:
			select { // the reply may be here already
			case msg = <-c:
			default:
				return fmt.Errorf("await the end of %s: %w", a.commands[i].Execute, a.q.err)
			}
		case <-ctx.Done():
			return fmt.Errorf("await the end of %s: %w", a.commands[i].Execute, ctx.Err())
		}
		if msg.Error != nil {
			return fmt.Errorf("%s: %w", a.commands[i].Execute, msg.Error)
		}
	}
	return nil
}

// forget gives up the replies that have not come.
func (a asked) forget() {
	a.q.mu.Lock()
	defer a.q.mu.Unlock()
	for _, c := range a.commands {
		delete(a.q.waiting, c.ID)
	}
}

// run sends a batch and waits for it.
func (q *qmp) run(ctx context.Context, file *os.File, commands ...command) error {
	a, err := q.send(file, commands...)
	if err != nil {
		return err
	}
	return a.wait(ctx)
}

// post sends commands whose replies nobody needs.
func (q *qmp) post(commands ...command) {
	if a, err := q.send(nil, commands...); err == nil {
		a.forget()
	}
}
