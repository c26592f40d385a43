//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Unlink removes a name that is no directory.
func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.remove(in, name, 0)
}

// Rmdir removes an empty directory.
func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.remove(in, name, unix.AT_REMOVEDIR)
}

func (s *server) remove(in *fuse.InHeader, name string, flags int) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error {
		if err := s.frozen(); err != nil {
			return err
		}
		s.nodes.names.Lock()
		defer s.nodes.names.Unlock()
		st, err := statAt(dir.fd, name)
		if err != nil {
			return err
		}
		if err := unix.Unlinkat(dir.fd, name, flags); err != nil {
			return err
		}
		s.gone(dir, name, &st)
		return nil
	}))
}

// gone notes that name in dir, which was st, is no more. names is held.
func (s *server) gone(dir *node, name string, st *unix.Statx_t) {
	if st.Nlink <= 1 || kindOf(st) == unix.S_IFDIR {
		s.owners.removed(st)
	}
	s.nodes.moved(st, dir, name, nil, "")
}

// moved notes that the inode st, if it is known in the place from, is at to now.
func (t *nodeTable) moved(st *unix.Statx_t, from *node, name string, to *node, newName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byKey[identify(st)]
	if n != nil && n.parent == from && n.name == name {
		t.place(n, to, newName)
	}
}
