package logs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines cuts a file into its lines, with bounded memory.
type lines struct {
	r   *bufio.Reader
	buf []byte
}

func (l *lines) reset(r io.Reader) {
	if l.r == nil {
		l.r = bufio.NewReaderSize(r, 64<<10)
	}
	l.r.Reset(r)
}

// next is the next line, newline included, and how many bytes of the file it took.
// It is valid until the following call. One that is longer than any record is nil,
// and counts. io.EOF: no whole line is left, and what is does not count.
func (l *lines) next() (line []byte, n int64, err error) {
	if cap(l.buf) > 1<<20 {
		l.buf = nil // a long line is rare
	}
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		n += int64(len(part))
		if n <= maxRecord {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, 0, err
		case n > maxRecord:
			return nil, n, nil
		}
		return l.buf, n, nil
	}
}

// step is by how much backward reads at least, in bytes.
const step = 64 << 10

// backward calls yield for each whole line in the first size bytes of f, the last
// one first, until it says false. Lines that are longer than any record are
// passed over.
func backward(f io.ReaderAt, size int64, yield func(off int64, line []byte) bool) error {
	end, err := lastNewline(f, size)
	if err != nil {
		return err
	}
	start := end // the window is f[start:start+len(window)] and ends behind a newline
	var window []byte
	for start > 0 || len(window) > 0 {
		if len(window) > 0 {
			i := bytes.LastIndexByte(window[:len(window)-1], '\n')
			if i >= 0 || start == 0 {
				line := window[i+1:]
				if len(line) <= maxRecord && !yield(start+int64(i)+1, line) {
					return nil
				}
				window = window[:i+1]
				continue
			}
		}
		if len(window) > maxRecord {
			if start, err = lastNewline(f, start); err != nil {
				return err
			}
			window = nil
			continue
		}
		if window, start, err = widen(f, window, start); err != nil {
			return err
		}
	}
	return nil
}

// widen puts more of f before the window.
func widen(f io.ReaderAt, window []byte, start int64) ([]byte, int64, error) {
	n := min(start, int64(max(step, len(window))))
	wider := make([]byte, n+int64(len(window)))
	if _, err := f.ReadAt(wider[:n], start-n); err != nil {
		return nil, 0, err
	}
	copy(wider[n:], window)
	return wider, start - n, nil
}
