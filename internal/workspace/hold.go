//go:build linux

package workspace

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// recheck is how long a directory is believed to be inside the workspace, and
	// a file to be in its place, without looking.
	recheck = time.Second
	// maxDepth bounds the way from a node up to the root, PATH_MAX/2 as paths go.
	maxDepth = 2048
)

// hold makes sure that the guest's node has a descriptor, until drop.
func (t *nodeTable) hold(id uint64) (*node, error) {
	t.mu.Lock()
	n := t.byID[id]
	if n == nil || n.lookups == 0 {
		t.mu.Unlock()
		return nil, unix.ESTALE
	}
	n.users++ // before mu goes, so that it can't be released meanwhile
	t.mu.Unlock()
	return n, t.grabbed(n, 0)
}

// grabbed completes a hold whose user is counted, or takes it back.
func (t *nodeTable) grabbed(n *node, depth int) error {
	t.mu.Lock()
	t.rank(n)
	ready := n.fd >= 0 && !due(n)
	t.mu.Unlock()
	if ready {
		return nil
	}
	if depth > maxDepth {
		t.drop(n)
		return unix.ESTALE
	}
	if err := t.find(n, depth); err != nil {
		t.drop(n)
		return err
	}
	return nil
}

func (t *nodeTable) drop(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.users--
	t.rank(n)
	t.release(n)
}

// due says that n's place should be looked at again. The root has none, and an
// open file stays readable wherever it went, as everywhere.
func due(n *node) bool {
	if n.parent == nil && n.kind != unix.S_IFDIR || n.id == rootAlias {
		return false
	}
	if n.kind != unix.S_IFDIR && n.opens > 0 {
		return false
	}
	return time.Now().UnixNano()-n.checked > int64(recheck)
}

// find looks for n in its recorded place; opens it if it has no descriptor.
func (t *nodeTable) find(n *node, depth int) error {
	var err error = unix.ESTALE
	for range 2 { // again if it was renamed meanwhile
		parent, name := t.enter(n)
		if parent == nil {
			break
		}
		if e := t.grabbed(parent, depth+1); e != nil {
			break
		}
		moved, e := t.match(n, parent, name)
		t.drop(parent)
		if e == nil {
			return nil
		}
		if !moved {
			err = e
			break
		}
	}
	// Its name leads elsewhere. A directory that is still inside may be used on.
	t.mu.Lock()
	fd := n.fd
	t.mu.Unlock()
	if fd >= 0 && n.kind == unix.S_IFDIR && t.inside(fd) {
		t.mu.Lock()
		n.checked = time.Now().UnixNano()
		t.mu.Unlock()
		return nil
	}
	return err
}

// enter counts a user on n's parent and returns n's place.
func (t *nodeTable) enter(n *node) (*node, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.parent != nil {
		n.parent.users++
	}
	return n.parent, n.name
}

// match compares n with what name in the held parent is now, and opens it if
// need be. moved says that n's place has changed meanwhile.
func (t *nodeTable) match(n, parent *node, name string) (moved bool, _ error) {
	t.names.RLock()
	defer t.names.RUnlock()
	t.mu.Lock()
	moved = n.parent != parent || n.name != name
	fd := n.fd
	t.mu.Unlock()
	if moved {
		return true, unix.ESTALE
	}
	var err error
	var st unix.Statx_t
	if fd >= 0 {
		st, err = statAt(parent.fd, name)
	} else if fd, err = t.open(parent.fd, name); err == nil {
		if st, err = statFD(fd); err == nil && t.is(n, &st) {
			t.adopt(n, fd)
			return false, nil
		}
		unix.Close(fd)
		t.unreserve()
	}
	switch {
	case err == unix.ENFILE || err == unix.EMFILE:
		return false, unix.ENFILE
	case err != nil || !t.is(n, &st):
		return false, unix.ESTALE
	}
	t.mu.Lock()
	n.checked = time.Now().UnixNano()
	t.mu.Unlock()
	return false, nil
}

func (t *nodeTable) is(n *node, st *unix.Statx_t) bool {
	return identify(st) == n.key && kindOf(st) == n.kind && t.sameMount(st)
}

// inside walks up from a directory and reports whether it meets the root.
func (t *nodeTable) inside(fd int) bool {
	at, last := fd, identity{}
	defer func() {
		if at != fd {
			unix.Close(at)
		}
	}()
	for range maxDepth {
		st, err := statFD(at)
		if err != nil || !t.sameMount(&st) || identify(&st) == last {
			return false
		}
		last = identify(&st)
		if last == t.root.key {
			return true
		}
		up, err := unix.Openat(at, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		if at != fd {
			unix.Close(at)
		}
		at = up
	}
	return false
}
