package cli

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"aegis/internal/config"
)

// meterEvery is how often a copy's progress is shown, and after what time first.
const meterEvery = time.Second

// meter counts the bytes of a stream, and shows their number where standard error
// is a terminal and it takes a while.
type meter struct {
	io.Reader
	count   atomic.Int64
	done    chan struct{}
	stopped func()
}

func (a *app) meter(r io.Reader) *meter {
	m := &meter{Reader: r, done: make(chan struct{})}
	var showing sync.WaitGroup
	if terminal(a.err) {
		showing.Go(func() { m.show(a.err) })
	}
	m.stopped = sync.OnceFunc(func() { close(m.done); showing.Wait() })
	return m
}

// Read counts.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.count.Add(int64(n))
	return n, err
}

// stop takes the line away.
func (m *meter) stop() { m.stopped() }

// clearLine goes to the line's beginning and empties it (ECMA-48, EL).
const clearLine = "\r\x1b[K"

func (m *meter) show(w io.Writer) {
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-m.done:
			fmt.Fprint(w, clearLine)
			return
		case <-tick.C:
		}
		n := m.count.Load()
		fmt.Fprintf(w, "%s%s copied, %s/s", clearLine, config.HumanSize(n), config.HumanSize(n-last))
		last = n
	}
}
