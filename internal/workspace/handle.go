//go:build linux

package workspace

import (
	"sync"

	"golang.org/x/sys/unix"
)

// handle is an open file or directory of the guest.
type handle struct {
	node     *node
	fd       int
	writable bool
	users    int  // requests that use it; guarded by handleTable.mu
	closed   bool // RELEASE was seen; guarded by handleTable.mu
	listing  listing
}

// handleTable knows the guest's handles. Its cap counts lock owners too.
type handleTable struct {
	most int

	mu     sync.Mutex
	byID   map[uint64]*handle
	lastID uint64
	taken  int
}

func newHandleTable(most int) *handleTable {
	return &handleTable{most: most, byID: map[uint64]*handle{}, lastID: firstID}
}

// reserve takes room for one descriptor, before it is opened.
func (t *handleTable) reserve() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken >= t.most {
		return unix.ENFILE
	}
	t.taken++
	return nil
}

func (t *handleTable) unreserve() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
}

// add numbers a handle whose room is reserved.
func (t *handleTable) add(h *handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	t.byID[t.lastID] = h
	return t.lastID
}

// get finds a handle on a node and keeps its descriptor open until put.
func (t *handleTable) get(id, node uint64) (*handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.byID[id]
	if h == nil || h.node.id != node {
		return nil, unix.EBADF
	}
	h.users++
	return h, nil
}

func (t *handleTable) put(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.users--
	t.settle(h)
}

// remove takes a handle from the guest; it closes when its last user is done.
func (t *handleTable) remove(id uint64) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.byID[id]
	if h == nil {
		return nil
	}
	delete(t.byID, id)
	h.closed = true
	t.settle(h)
	return h
}

func (t *handleTable) settle(h *handle) {
	if h.closed && h.users == 0 {
		unix.Close(h.fd)
		t.taken--
	}
}

func (t *handleTable) close() {
	for id := range t.byID {
		t.remove(id)
	}
}
