package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"aegis/internal/paths"
)

// Query says which records to read.
type Query struct {
	Tail    int       // the last so many of those that fit, and what follows; -1: all
	Since   time.Time // none before; zero: all
	Streams []string  // any of these; none: all
	Exec    string    // of this exec only; "": of all, and of the command
	Follow  bool      // go on with what is written later
}

// Read gives the records of the log in dir as they are on disk, one a line, oldest
// first. Without Follow it ends with the last record there was at the call, or
// with ctx's error. With Follow it goes on, over any number of lives of the
// instance, and ends (io.EOF) when ctx is done or dir is removed. A directory that
// is not there is an empty log. What is no record is passed over.
//
// The caller closes it; Close may be called while Read waits.
func Read(ctx context.Context, dir string, q Query) (io.ReadCloser, error) {
	r := &reader{dir: dir, query: q, last: position{math.MaxInt, math.MaxInt64}}
	if q.Follow {
		r.watch = newWatch(dir) // before the first look, so that nothing falls between
	}
	var err error
	if r.at, err = q.start(dir); err == nil && !q.Follow {
		r.last, err = end(dir)
	}
	if err != nil {
		r.watch.close()
		return nil, fmt.Errorf("read log %q: %w", dir, err)
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r, nil
}

// position is a place between two records: behind off bytes of file n.
type position struct {
	n   int
	off int64
}

// reader is one reading of a log. It holds one line at a time.
type reader struct {
	dir    string
	query  Query
	ctx    context.Context
	cancel context.CancelFunc
	watch  *watch // nil unless it follows

	mu      sync.Mutex // held by a Read, and by Close when no Read waits
	f       *os.File   // file at.n, or nil: not opened yet, or no file there yet
	lines   lines
	at      position
	last    position // where a reading that does not follow ends
	final   bool     // file at.n has a successor, so this is all it will ever hold
	pending []byte   // of the current record
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		line, err := r.next()
		if err != nil {
			return 0, err
		}
		r.pending = line
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// Close implements io.Closer. It is idempotent.
func (r *reader) Close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release()
	r.watch.close()
	return nil
}

func (r *reader) release() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}

// next is the next record that the query wants.
func (r *reader) next() ([]byte, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			if r.query.Follow {
				return nil, io.EOF
			}
			return nil, err
		}
		line, err := r.line()
		if errors.Is(err, io.EOF) {
			err = r.more()
		}
		if err != nil {
			return nil, err
		}
		if line != nil && r.query.wants(line) {
			return line, nil
		}
	}
}

// line is the next line of the current file; io.EOF when there is none yet.
func (r *reader) line() ([]byte, error) {
	if r.f == nil {
		if err := r.open(); err != nil {
			return nil, err
		}
	}
	line, n, err := r.lines.next()
	r.at.off += n
	return line, err
}

// open opens the current file; io.EOF when it is not there.
func (r *reader) open() error {
	f, err := os.Open(paths.LogFile(r.dir, r.at.n))
	if errors.Is(err, os.ErrNotExist) {
		return io.EOF // dropped, or the log has no file yet
	}
	if err != nil {
		return err
	}
	r.f = f
	r.rewind()
	return nil
}

// rewind goes on behind the last whole line, so that one which was read in part
// is read again.
func (r *reader) rewind() {
	if r.f == nil {
		return
	}
	limit := int64(math.MaxInt64)
	if r.at.n == r.last.n {
		limit = r.last.off
	}
	r.lines.reset(io.NewSectionReader(r.f, r.at.off, limit-r.at.off))
}

// more makes progress at the end of a file: it goes to the next one, or waits for
// a change. io.EOF is the end of the reading.
func (r *reader) more() error {
	found, err := numbers(r.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return io.EOF
	case err != nil:
		return err
	}
	for _, n := range found {
		if n <= r.at.n || n > r.last.n {
			continue
		}
		if r.f != nil && !r.final {
			r.final = true // a last look: it may have grown before its successor came
			r.rewind()
			return nil
		}
		r.release()
		r.at, r.final = position{n: n}, false
		return nil
	}
	if !r.query.Follow {
		return io.EOF
	}
	r.watch.wait(r.ctx)
	r.rewind()
	return nil
}
