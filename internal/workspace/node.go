//go:build linux

package workspace

import (
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// rootAlias is the root's number here and in the library; see handler.handle.
const rootAlias = 2

// firstID is where numbers of nodes and handles begin. None is used twice.
const firstID = 16

// node is an inode that the guest knows, or the way to one.
type node struct {
	id   uint64
	key  identity
	kind uint32 // S_IFMT bits; an inode never changes them

	// fd is an O_PATH descriptor or -1. It is guarded by nodeTable.mu, and stays
	// as it is while the node is held.
	fd int

	// The rest is guarded by nodeTable.mu.
	parent  *node // where it was last seen; nil for the root and for what has no name left
	name    string
	kids    int    // nodes whose parent this is
	lookups uint64 // references of the guest (FORGET takes them back)
	users   int    // requests that hold it
	opens   int    // handles on it
	checked int64  // when it was last found in its place, UnixNano
	told    stamp  // what the guest last heard of its content
	asked   bool   // OPEN has answered ESTALE since the last success
	doubted bool   // the guest's pages may be older than its attributes

	prev, next *node // in nodeTable.idle
}

// nodeTable holds the nodes. The guest's references and those in the tree keep a
// node; its descriptor is closed when it is idle and others are needed more.
//
// Lock order: names, then mu. mu is never held during a system call but close.
type nodeTable struct {
	limits limits
	root   *node
	mount  uint64 // the one mount that is served, STATX_MNT_ID

	// names is held for reading while a node is looked up in its recorded place,
	// for writing while places change, so that the two agree.
	names sync.RWMutex

	mu     sync.Mutex
	byID   map[uint64]*node
	byKey  map[identity]*node
	lastID uint64
	fds    int  // descriptors open
	idle   node // ring: most recently used first
}

func newNodeTable(fd int, st *unix.Statx_t, l limits) *nodeTable {
	t := &nodeTable{
		limits: l,
		mount:  st.Mnt_id,
		byID:   map[uint64]*node{},
		byKey:  map[identity]*node{},
		lastID: firstID,
		fds:    1,
	}
	t.idle.prev, t.idle.next = &t.idle, &t.idle
	t.root = &node{id: rootAlias, key: identify(st), kind: unix.S_IFDIR, fd: fd, lookups: 1}
	t.byID[fuse.FUSE_ROOT_ID] = t.root
	t.byID[rootAlias] = t.root
	t.byKey[t.root.key] = t.root
	return t
}

func (t *nodeTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.byID {
		t.closeFD(n)
	}
}

// sameMount reports whether st is on the served mount.
func (t *nodeTable) sameMount(st *unix.Statx_t) bool {
	if st.Mask&unix.STATX_MNT_ID != 0 {
		return st.Mnt_id == t.mount
	}
	return unix.Mkdev(st.Dev_major, st.Dev_minor) == t.root.key.dev
}

// see gives the guest one more reference to the inode st, found as name in
// parent, and notes what it is told.
func (t *nodeTable) see(parent *node, name string, st *unix.Statx_t) (*node, error) {
	if !t.sameMount(st) {
		return nil, unix.EXDEV
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := identify(st)
	n := t.byKey[key]
	switch {
	case n == t.root && n != nil: // a directory above itself: only by moving things meanwhile
		return nil, unix.ELOOP
	case n != nil && n.kind != kindOf(st):
		return nil, unix.ESTALE
	case n == nil:
		if len(t.byID) >= t.limits.nodes {
			return nil, unix.ENOMEM
		}
		t.lastID++
		n = &node{id: t.lastID, key: key, kind: kindOf(st), fd: -1}
		t.byID[n.id] = n
		t.byKey[key] = n
	}
	n.lookups++
	n.told = stampOf(st)
	if parent != nil {
		t.place(n, parent, name)
	}
	return n, nil
}

// place records where n is; parent nil means that it has no name any more.
// A directory is never put below itself, which moves on the host could make it
// look like, so the way up always ends.
func (t *nodeTable) place(n, parent *node, name string) {
	for up := parent; n.kids > 0 && up != nil; up = up.parent {
		if up == n {
			return
		}
	}
	old := n.parent
	n.parent, n.name = parent, name
	n.checked = time.Now().UnixNano()
	if parent != nil {
		parent.kids++
	}
	if old != nil {
		old.kids--
		t.release(old)
	}
	t.rank(n)
}

// forget takes back references of the guest.
func (t *nodeTable) forget(id, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || n == t.root {
		return
	}
	n.lookups -= min(count, n.lookups)
	t.release(n)
}

// release drops n, and then what only n kept, when nothing refers to it.
func (t *nodeTable) release(n *node) {
	for n != nil && n != t.root && n.lookups == 0 && n.kids == 0 && n.users == 0 && n.opens == 0 {
		if t.byID[n.id] != n {
			return
		}
		delete(t.byID, n.id)
		if t.byKey[n.key] == n {
			delete(t.byKey, n.key)
		}
		unlist(n)
		t.closeFD(n)
		parent := n.parent
		n.parent = nil
		if parent != nil {
			parent.kids--
		}
		n = parent
	}
}

func (t *nodeTable) closeFD(n *node) {
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
		t.fds--
	}
}

// tell notes the content that the guest now knows of.
func (t *nodeTable) tell(n *node, st *unix.Statx_t) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.told = stampOf(st)
}

// knows reports whether the guest was told of the content st.
func (t *nodeTable) knows(n *node, st *unix.Statx_t) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.told == stampOf(st)
}

// doubt makes the next OPEN drop the guest's pages.
func (t *nodeTable) doubt(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.doubted = true
}

// opened counts a handle on n; closed takes it back.
func (t *nodeTable) opened(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.opens++
	t.rank(n)
}

func (t *nodeTable) closed(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.opens--
	t.rank(n)
	t.release(n)
}

// Forget is FORGET and BATCH_FORGET.
func (s *server) Forget(id, count uint64) { s.nodes.forget(id, count) }
