package cli

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"aegis/internal/config"
)

// meter counts the bytes of a copy, and shows how far it is.
type meter struct {
	io.Reader
	count   atomic.Int64
	total   atomic.Int64 // of the files; 0 while unknown
	display *display
	plain   *time.Ticker // where there is no terminal
	done    chan struct{}
	noting  sync.WaitGroup
}

// meter begins to count. The size of what is copied from here is looked up meanwhile,
// where there is somebody to look at it.
func (a *app) meter(r io.Reader, source string) *meter {
	m := &meter{Reader: r, done: make(chan struct{})}
	if !a.live() {
		m.plain = time.NewTicker(plainEvery)
		m.noting.Go(func() { m.note(a) })
		return m
	}
	if source != "" {
		go m.measure(source)
	}
	m.display = a.display(m.line)
	return m
}

// Read counts.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.count.Add(int64(n))
	return n, err
}

// stop ends what it shows.
func (m *meter) stop() {
	m.display.stop()
	close(m.done)
	m.noting.Wait()
}

// note says how far it is on lines of their own.
func (m *meter) note(a *app) {
	defer m.plain.Stop()
	begun := time.Now()
	for {
		select {
		case <-m.done:
			return
		case <-m.plain.C:
			a.note("%s", m.line(time.Since(begun), plainWidth))
		}
	}
}

func (m *meter) line(elapsed time.Duration, width int) string {
	count := m.count.Load()
	text := fmt.Sprintf("%s copied, %s/s", config.HumanSize(count), config.HumanSize(int64(float64(count)/elapsed.Seconds())))
	if total := m.total.Load(); total > 0 {
		return bar(text, count, total, width)
	}
	return text
}

// measure adds the sizes of the files below a path. The stream has names besides, and
// no holes: what it says is about so.
func (m *meter) measure(source string) {
	var total int64
	filepath.WalkDir(source, func(_ string, entry fs.DirEntry, err error) error {
		select {
		case <-m.done:
			return fs.SkipAll
		default:
		}
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	m.total.Store(max(total, 1))
}
