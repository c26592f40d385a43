package template

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// trace is what the kernel says of a file. Whatever writes to a file moves its
// ctime, which nobody can set; so an equal trace is an equal file, but for a disk
// that fails and for files in a memory file system that were written through a map.
type trace struct {
	Inode    uint64 `json:"inode"`
	Size     int64  `json:"size"`  // bytes
	Modified int64  `json:"mtime"` // nanoseconds since 1970
	Changed  int64  `json:"ctime"` // nanoseconds since 1970
}

// look takes the trace of a regular file; a symbolic link is none.
func look(path string) (trace, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return trace{}, &os.PathError{Op: "look at", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return trace{}, fmt.Errorf("%s is no regular file", path)
	}
	return trace{Inode: st.Ino, Size: st.Size, Modified: st.Mtim.Nano(), Changed: st.Ctim.Nano()}, nil
}

// Digests remembers the SHA-256 of files for as long as they do not change. The zero
// value is ready, and may be used by several goroutines at once.
type Digests struct {
	mu   sync.Mutex
	seen map[string]digested
}

type digested struct {
	trace trace
	sum   string
}

// Of is the SHA-256 of a regular file in hexadecimal.
func (d *Digests) Of(path string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := look(path)
	if err != nil {
		return "", err
	}
	if known, ok := d.seen[path]; ok && known.trace == now {
		return known.sum, nil
	}
	sum, err := digest(path, now.Size, now.Size)
	if err != nil {
		return "", err
	}
	if d.seen == nil {
		d.seen = map[string]digested{}
	}
	d.seen[path] = digested{now, sum}
	return sum, nil
}

// Of a file larger than wholeMost only samples are digested, as many as samples, of
// sampleSize bytes each: the first, the last, and what lies evenly between. They find
// a file that was exchanged or lost its pages; a single byte is found by its trace.
const (
	wholeMost  = 64 << 20 // bytes
	samples    = 256
	sampleSize = 4 << 10 // bytes
)

// digest is the SHA-256, in hexadecimal, of size and content of a file: all of it up to most
// bytes, else samples.
func digest(path string, size, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	if size <= most {
		if _, err := io.Copy(h, f); err != nil {
			return "", err
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	buf := make([]byte, sampleSize)
	for i := range int64(samples) {
		if _, err := f.ReadAt(buf, (size-sampleSize)/(samples-1)*i); err != nil {
			return "", err
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
