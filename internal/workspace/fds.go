//go:build linux

package workspace

import (
	"time"

	"golang.org/x/sys/unix"
)

// open returns a counted O_PATH descriptor of name in dir, closing idle ones to
// stay within the limit.
func (t *nodeTable) open(dir int, name string) (int, error) {
	if err := t.reserve(); err != nil {
		return -1, err
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		t.unreserve()
	}
	return fd, err
}

// reserve counts one descriptor that is about to be opened.
func (t *nodeTable) reserve() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.fds >= t.limits.fds {
		last := t.idle.prev
		if last == &t.idle {
			return unix.ENFILE
		}
		unlist(last)
		t.closeFD(last)
	}
	t.fds++
	return nil
}

func (t *nodeTable) unreserve() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fds--
}

// adopt gives n a counted descriptor, unless it has got one meanwhile.
func (t *nodeTable) adopt(n *node, fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.checked = time.Now().UnixNano()
	if n.fd >= 0 || t.byID[n.id] != n { // or the guest has forgotten it already
		unix.Close(fd)
		t.fds--
		return
	}
	n.fd = fd
}

// rank puts n where its use says: at the head of the idle ring, or out of it.
// What is in use, open or nameless must keep its descriptor: it could not be
// found again, or not as the same.
func (t *nodeTable) rank(n *node) {
	unlist(n)
	if n == t.root || n.fd < 0 || n.users > 0 || n.opens > 0 || n.parent == nil {
		return
	}
	n.prev, n.next = &t.idle, t.idle.next
	n.prev.next, n.next.prev = n, n
}

func unlist(n *node) {
	if n.next != nil {
		n.prev.next, n.next.prev = n.next, n.prev
		n.prev, n.next = nil, nil
	}
}
