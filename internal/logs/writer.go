package logs

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"aegis/internal/undo"
)

// maxHeld bounds what all streams of a writer together hold of lines that have
// no end yet, in bytes: a guest decides how many streams it opens. Beyond it the
// stream that grows writes what it has as a partial record.
const maxHeld = 2 * maxLine

// Writer is the open log of an instance. Its methods, and those of its streams,
// may be called by several goroutines at once; each Write is on its way to the
// disk (write(2)) when it returns, so a crash of the shim loses nothing of it.
type Writer struct {
	instance string
	maxLine  int // bytes of a record's line
	maxHeld  int // bytes of unfinished lines, of all streams together
	maxBatch int // bytes of records before they are written, but for the last one

	mu      sync.Mutex
	files   files
	system  *Stream
	open    map[*Stream]struct{}
	held    int    // bytes of unfinished lines
	scratch []byte // records on their way
	hidden  []hidden
	lost    int // records that could not be written, not yet reported
	closed  bool
}

// Open opens or begins the log of an instance in dir, which it makes, 0700. What
// a crash cut short at its end is cut off. The log takes at most capBytes of disk
// (no less than 1 MiB); the oldest files go when it would take more.
func Open(dir, instance string, capBytes int64) (*Writer, error) {
	var u undo.Stack
	defer u.Run()
	capBytes = max(capBytes, minCap)
	w := &Writer{instance: instance, open: map[*Stream]struct{}{}, maxHeld: maxHeld}
	// A record takes at most twice its line, so a batch and one record more fit the cap.
	w.maxLine = int(min(maxLine, capBytes/3))
	w.maxBatch = int(min(1<<20, capBytes/shares))
	if err := w.files.open(dir, capBytes); err != nil {
		return nil, fmt.Errorf("open log %q: %w", dir, err)
	}
	u.Add(func() { w.files.close() })
	w.system = w.Stream(System, "")
	u.Keep()
	return w, nil
}

// Stream is where one stream of the command (exec "") or of an exec goes.
func (w *Writer) Stream(stream, exec string) *Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &Stream{w: w, head: newHead(stream, w.instance, exec)}
	w.open[s] = struct{}{}
	return s
}

// System writes what Aegis itself has to say, a record a line.
func (w *Writer) System(text string) error {
	_, err := w.system.Write([]byte(strings.TrimSuffix(text, "\n") + "\n"))
	return err
}

// Close writes what the streams still hold, fsyncs and closes. It is idempotent.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.begin()
	for s := range w.open {
		s.flush(time.Now())
	}
	err := w.commit()
	w.closed = true
	if closing := w.files.close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("close log of %q: %w", w.instance, err)
	}
	return nil
}

// begin starts a batch. The caller holds mu until commit.
func (w *Writer) begin() {
	w.scratch = w.scratch[:0]
	if w.lost > 0 {
		note := fmt.Sprintf("%d records of this log were lost: they could not be written", w.lost)
		w.scratch = w.system.head.appendRecord(w.scratch, time.Now(), []byte(note), false)
	}
}

// commit writes the batch. Where the disk does not take it, it is dropped and
// counted, and the next batch that gets through says so.
func (w *Writer) commit() error {
	if len(w.scratch) == 0 {
		return nil
	}
	if err := w.files.append(w.scratch); err != nil {
		w.lost += countLines(w.scratch) - min(w.lost, 1) // without begin's own note
		return err
	}
	w.lost = 0
	if cap(w.scratch) > 1<<20 {
		w.scratch = nil // a long line is rare
	}
	return nil
}

func countLines(b []byte) (n int) {
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	return n
}

// errClosed is what a stream answers when it, or its writer, is closed.
var errClosed = fmt.Errorf("write log: %w", os.ErrClosed)
