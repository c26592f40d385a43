//go:build linux

package harness

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// watch tells in which directories somebody has changed something (inotify(7)).
// Its methods are for one goroutine at a time. A nil one can tell nothing.
type watch struct {
	fd      int
	touched map[int32]bool
	blind   bool // the kernel has dropped events
}

// newWatch gives nil where there is none.
func newWatch() *watch {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil
	}
	return &watch{fd: fd, touched: map[int32]bool{}}
}

// add watches a directory until it is removed, and gives its mark; 0: it can't be watched.
func (w *watch) add(dir string) int32 {
	if w == nil {
		return 0
	}
	mark, err := unix.InotifyAddWatch(w.fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_ATTRIB|unix.IN_ONLYDIR)
	if err != nil {
		return 0
	}
	return int32(mark)
}

// untouched reports whether nobody has written or made anything in a directory, or changed
// whose it is, since it was added. The counters of a group (*.events) are the kernel's, and nobody can write to them.
func (w *watch) untouched(mark int32) bool {
	if w == nil || mark == 0 {
		return false
	}
	var buf [4096]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return !w.blind && !w.touched[mark]
		}
		w.note(buf[:n])
	}
}

// note reads events as the kernel lays them out (struct inotify_event, inotify(7)).
func (w *watch) note(events []byte) {
	for len(events) >= unix.SizeofInotifyEvent {
		mark := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		if end > len(events) {
			return
		}
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00"))
		events = events[end:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			w.blind = true
		case mask&unix.IN_IGNORED != 0: // it was removed
			delete(w.touched, mark)
		case mask&unix.IN_MODIFY == 0, !strings.Contains(name, ".events"):
			w.touched[mark] = true
		}
	}
}
