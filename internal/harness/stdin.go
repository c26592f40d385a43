//go:build linux

package harness

import (
	"errors"
	"io"
	"sync"

	"aegis/internal/wire"
)

// input is a process's stdin on its way: the frame reader puts and never blocks,
// a goroutine of its own feeds the process and grants credit for what it took.
type input struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []byte // at most wire.InitialCredit
	ended  bool   // nothing will be put any more
	closed bool   // nobody takes any more
}

func newInput() *input {
	in := &input{}
	in.more.L = &in.mu
	return in
}

var errStdin = errors.New("stdin beyond its credit or its end")

// put queues bytes. More than the credit allows is an error.
func (in *input) put(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || len(in.queue)+len(p) > wire.InitialCredit {
		return errStdin
	}
	in.queue = append(in.queue, p...)
	in.more.Signal()
	return nil
}

// end says that nothing follows.
func (in *input) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.more.Signal()
}

// close makes feed return, with whatever is queued dropped.
func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.more.Signal()
}

// take waits for bytes; nil is the end.
func (in *input) take() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.queue) == 0 && !in.ended && !in.closed {
		in.more.Wait()
	}
	if in.closed {
		return nil
	}
	chunk := in.queue
	in.queue = nil
	return chunk
}

// feed writes to the process until the end. A process that has closed its stdin
// is no error: the rest is dropped, with credit, so that the sender ends too.
func (in *input) feed(process io.Writer, credit func(int) error) {
	var gone bool
	for chunk := in.take(); len(chunk) > 0; chunk = in.take() {
		for len(chunk) > 0 {
			n := min(len(chunk), wire.MaxFrame)
			if !gone {
				_, err := process.Write(chunk[:n])
				gone = err != nil
			}
			if credit(n) != nil {
				return
			}
			chunk = chunk[n:]
		}
	}
}
