//go:build linux

package harness

import (
	"net"
	"runtime"
	"sync"
)

// batchMost is up to where writes are joined, in bytes: to copy more takes longer than a
// second write.
const batchMost = 2 << 10

// batch joins short writes to the host that come one upon the other: each write to a port
// leaves the guest, and takes longer, without KVM, than all that the mux does for what it
// carries. A short write is under way when Write returns; one that fails then ends the
// connection, and is the error of those behind it.
type batch struct {
	net.Conn
	yield func()        // lets everything that can run do so
	ready chan struct{} // a token: something is queued
	done  chan struct{}
	once  sync.Once

	mu    sync.Mutex // held over writes, so that their order stays
	queue []byte
	err   error
}

// newBatch begins; Close ends it.
func newBatch(to net.Conn) *batch {
	b := &batch{Conn: to, yield: runtime.Gosched, ready: make(chan struct{}, 1), done: make(chan struct{})}
	go b.flush()
	return b
}

// Write queues what is short, and writes what is not, behind all that is queued.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue)+len(p) > batchMost {
		b.send()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case len(p) > batchMost:
		n, err := b.Conn.Write(p)
		b.err = err
		return n, err
	}
	b.queue = append(b.queue, p...)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return len(p), nil
}

// send writes what is queued. mu is held.
func (b *batch) send() {
	if b.err == nil && len(b.queue) > 0 {
		_, b.err = b.Conn.Write(b.queue)
	}
	b.queue = b.queue[:0]
}

// flush sends what is queued, once whoever may have more has run.
func (b *batch) flush() {
	defer endOnPanic()
	for {
		select {
		case <-b.done:
			return
		case <-b.ready:
		}
		b.yield()
		b.mu.Lock()
		b.send()
		err := b.err
		b.mu.Unlock()
		if err != nil {
			b.Conn.Close() // whoever reads from it learns of it
			return
		}
	}
}

// Close loses what is queued.
func (b *batch) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}
