package flatten

import (
	"bytes"
	"io"
)

// hole is how much of a file is left out at once where it is zero, in bytes: a block of
// the host's file system.
const hole = 4096

var zeros [hole]byte

// sparse writes a new file, in which what was never written is zero: whole blocks of
// zeros beyond all that was written take no room. finish gives it its size.
type sparse struct {
	file  file
	at    int64
	end   int64 // of all that was written, or would have been
	limit int64
}

// file is what an ext4 is written to.
type file interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
}

func (s *sparse) Write(p []byte) (int, error) {
	if s.at+int64(len(p)) > s.limit {
		return 0, refuse("its file system has more than %d GiB", s.limit>>30)
	}
	for done := 0; done < len(p); {
		n, empty := s.run(p[done:])
		if !empty {
			if _, err := s.file.WriteAt(p[done:done+n], s.at); err != nil {
				return done, err
			}
		}
		done += n
		s.at += int64(n)
		s.end = max(s.end, s.at)
	}
	return len(p), nil
}

// run is how much of p is all to be written, or all to be left out.
func (s *sparse) run(p []byte) (n int, empty bool) {
	for at := s.at; n < len(p); {
		size := min(len(p)-n, hole-int(at%hole))
		zero := at >= s.end && bytes.Equal(p[n:n+size], zeros[:size])
		if n > 0 && zero != empty {
			return n, empty
		}
		empty = zero
		n += size
		at += int64(size)
	}
	return n, empty
}

// Read gives zeros for what was left out.
func (s *sparse) Read(p []byte) (int, error) {
	if s.at >= s.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.end-s.at)]
	n, err := s.file.ReadAt(p, s.at)
	if err == io.EOF {
		clear(p[n:])
		n, err = len(p), nil
	}
	s.at += int64(n)
	return n, err
}

func (s *sparse) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.end
	}
	if offset < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	s.at = offset
	return offset, nil
}

func (s *sparse) finish() error { return s.file.Truncate(s.end) }
