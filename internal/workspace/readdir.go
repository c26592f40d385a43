//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// OpenDir opens a directory for listing.
func (s *server) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(n)
	if n.kind != unix.S_IFDIR {
		return fuse.ENOTDIR
	}
	if err := s.handles.reserve(); err != nil {
		return status(err)
	}
	fd, err := unix.Openat(n.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.handles.unreserve()
		return status(err)
	}
	s.nodes.opened(n)
	out.Fh = s.handles.add(&handle{node: n, fd: fd})
	return fuse.OK
}

// ReadDir lists names.
func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.list(in, func(_ *node, e entry) bool { return out.AddDirEntry(e.DirEntry) })
}

// ReadDirPlus lists names with what LOOKUP would say of each. An entry that it
// would refuse is only named, and so are all while the table of nodes is nearly
// full.
func (s *server) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.list(in, func(dir *node, e entry) bool {
		slot := out.AddDirLookupEntry(e.DirEntry)
		if slot == nil {
			return false
		}
		if e.Name == "." || e.Name == ".." || s.nodes.nearlyFull() {
			return true
		}
		if s.enter(dir, e.Name, slot) != nil {
			*slot = fuse.EntryOut{}
		}
		return true
	})
}

// list gives the entries behind in.Offset to add. The directory is held, and so
// known to be in the workspace still.
func (s *server) list(in *fuse.ReadIn, add func(dir *node, e entry) bool) fuse.Status {
	h, err := s.handles.get(in.Fh, in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.handles.put(h)
	if h.node.kind != unix.S_IFDIR {
		return fuse.ENOTDIR
	}
	dir, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(dir)
	return status(h.listing.each(h.fd, in.Offset, func(e entry) bool {
		if e.Name == ".." {
			e.Ino = dir.key.ino // what is above the root is nobody's business
		}
		return add(dir, e)
	}))
}

// nearlyFull leaves the last quarter of the nodes to names that are asked for.
func (t *nodeTable) nearlyFull() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID) > t.limits.nodes/4*3
}
