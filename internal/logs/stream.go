package logs

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// Stream cuts bytes into lines and writes each as a record. It is an
// io.WriteCloser.
type Stream struct {
	w      *Writer
	head   head
	line   []byte // the beginning of a line that has no end yet
	closed bool
}

// Write takes all of p, always: an error says that records were lost, and the
// process that wrote them need not know.
func (s *Stream) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed || s.w.closed {
		return 0, errClosed
	}
	s.w.begin()
	now := time.Now()
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		s.finish(now, p[:end])
		p = p[end+1:]
	}
	s.hold(now, p)
	return n, s.w.commit()
}

// Close writes a last line that has no newline. It is idempotent, and does
// nothing after the writer's Close.
func (s *Stream) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.closed || s.w.closed {
		return nil
	}
	s.closed = true
	delete(s.w.open, s)
	s.w.begin()
	s.flush(time.Now())
	return s.w.commit()
}

// finish ends the line with rest.
func (s *Stream) finish(now time.Time, rest []byte) {
	if len(s.line)+len(rest) > s.w.maxLine {
		rest = s.cut(now, rest)
	}
	if len(s.line) == 0 {
		s.record(now, rest, false)
		return
	}
	s.keep(rest)
	s.record(now, s.line, false)
	s.forget()
}

// hold keeps rest until its line ends or there is too much of it.
func (s *Stream) hold(now time.Time, rest []byte) {
	if len(s.line)+len(rest) > s.w.maxLine {
		rest = s.cut(now, rest)
	}
	s.keep(rest)
	if s.w.held > s.w.maxHeld {
		s.flush(now)
	}
}

// cut writes partial records until what is left of the line, which it returns,
// fits one. A character of UTF-8 is not split.
func (s *Stream) cut(now time.Time, rest []byte) []byte {
	for len(s.line)+len(rest) > s.w.maxLine {
		room := s.w.maxLine - len(s.line)
		s.keep(rest[:room])
		rest = rest[room:]
		whole := s.line[:len(s.line)-splitRune(s.line)]
		tail := bytes.Clone(s.line[len(whole):])
		s.record(now, whole, true)
		s.forget()
		s.keep(tail)
	}
	return rest
}

// splitRune is how many bytes at the end of b begin a character without ending it.
func splitRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n < len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if utf8.FullRune(b[len(b)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}

// flush writes what is held as a partial record.
func (s *Stream) flush(now time.Time) {
	if len(s.line) > 0 {
		s.record(now, s.line, true)
		s.forget()
	}
}

// record adds one record to the batch; a batch that has grown long is written.
func (s *Stream) record(now time.Time, line []byte, partial bool) {
	s.w.scratch = s.head.appendRecord(s.w.scratch, now, s.w.redact(line), partial)
	if len(s.w.scratch) > s.w.maxBatch {
		s.w.commit()
		s.w.begin()
	}
}

// keep adds to the line that is held.
func (s *Stream) keep(p []byte) {
	s.line = append(s.line, p...)
	s.w.held += len(p)
}

// forget drops the line that is held, and its memory if it was long.
func (s *Stream) forget() {
	s.w.held -= len(s.line)
	s.line = s.line[:0]
	if cap(s.line) > 64<<10 {
		s.line = nil
	}
}
