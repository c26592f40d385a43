//go:build linux

package workspace

import (
	"encoding/binary"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// listing is how far a directory was read. What getdents64(2) gave and did not
// fit into a reply is kept for the next.
type listing struct {
	mu   sync.Mutex
	buf  []byte // allocated while there is something to list
	rest []byte // of buf
	at   uint64 // the offset behind the last entry given out
}

const listingBuffer = 8 << 10

// entry is one struct linux_dirent64.
type entry struct {
	fuse.DirEntry
	size int
}

// next returns the entry behind the last one that was taken.
func (l *listing) next(fd int) (e entry, ok bool, err error) {
	if len(l.rest) == 0 {
		if l.buf == nil {
			l.buf = make([]byte, listingBuffer)
		}
		n, err := unix.Getdents(fd, l.buf)
		if err != nil || n == 0 {
			l.buf, l.rest = nil, nil
			return entry{}, false, err
		}
		l.rest = l.buf[:n]
	}
	return parseEntry(l.rest), true, nil
}

func (l *listing) take(e entry) { l.rest, l.at = l.rest[e.size:], e.Off }

// parseEntry decodes what the host's kernel wrote: d_ino, d_off, d_reclen,
// d_type, d_name with a NUL (getdents64(2)).
func parseEntry(b []byte) entry {
	size := int(binary.NativeEndian.Uint16(b[16:]))
	return entry{size: size, DirEntry: fuse.DirEntry{
		Ino:  binary.NativeEndian.Uint64(b),
		Off:  binary.NativeEndian.Uint64(b[8:]),
		Mode: uint32(b[18]) << 12,
		Name: unix.ByteSliceToString(b[19:size]),
	}}
}

// each gives entries from offset on, until add has no room.
func (l *listing) each(fd int, offset uint64, add func(entry) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset != l.at || offset == 0 {
		l.rest = nil
		if _, err := unix.Seek(fd, int64(offset), unix.SEEK_SET); err != nil {
			return err
		}
		l.at = offset
	}
	for {
		e, ok, err := l.next(fd)
		if err != nil || !ok || !add(e) {
			return err
		}
		l.take(e)
	}
}
