package monitor

import (
	"io"
	"strings"
	"sync"
	"time"
)

// TailBytes is how much of the end of a Stream is kept for error messages, in bytes.
const TailBytes = 2 << 10

const (
	relayChunk = 4 << 10 // bytes read at once
	relayQueue = 256     // chunks that may wait for a slow writer; beyond them bytes are dropped
	relayGrace = 250 * time.Millisecond
)

// Stream is what a relay reads, never blocking the other side.
type Stream struct {
	Done chan struct{} // closed when everything read was written, or the source ended and the writer is stuck

	mu   sync.Mutex
	tail []byte
}

// Relay copies src to dst until src ends, and closes src. A nil dst takes nothing. It reads whether dst
// takes the bytes or not, so whoever writes src is never held up; what dst is too
// slow for is dropped.
func Relay(src io.ReadCloser, dst io.Writer) *Stream {
	if dst == nil {
		dst = io.Discard
	}
	s := &Stream{Done: make(chan struct{})}
	queue := make(chan []byte, relayQueue)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for chunk := range queue {
			dst.Write(chunk) // a writer that fails loses its own bytes
		}
	}()
	go func() {
		defer close(s.Done)
		s.read(src, queue)
		src.Close()
		close(queue)
		select {
		case <-written:
		case <-time.After(relayGrace):
		}
	}()
	return s
}

func (s *Stream) read(src io.Reader, queue chan<- []byte) {
	for {
		chunk := make([]byte, relayChunk)
		n, err := src.Read(chunk)
		if n > 0 {
			s.keep(chunk[:n])
			select {
			case queue <- chunk[:n]:
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// keep remembers the last bytes.
func (s *Stream) keep(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, b...)
	if over := len(s.tail) - TailBytes; over > 0 {
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
}

// Last is what was read last, as text of one line.
func (s *Stream) Last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(strings.FieldsFunc(string(s.tail), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
