//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// openFlags are what the host's open(2) gets of the guest's flags. O_DIRECT is
// left out (the guest's buffers are not ours to align), and O_APPEND, since
// mapped pages are written through any handle: each WRITE says whether it appends.
const openFlags = unix.O_ACCMODE | unix.O_TRUNC | unix.O_SYNC | unix.O_DSYNC

func writes(flags uint32) bool {
	return flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
}

// Open opens a regular file.
func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(n)
	if n.kind == unix.S_IFDIR {
		return status(unix.EISDIR)
	}
	if writes(in.Flags) && s.opts.ReadOnly {
		return fuse.EROFS
	}
	same, err := s.nodes.fresh(n)
	if err == nil {
		err = s.open(n, in.Flags, out)
	}
	if !same { // and so are not the pages that the guest has
		out.OpenFlags = 0
	}
	return status(err)
}

// open makes a handle on a held regular file.
func (s *server) open(n *node, flags uint32, out *fuse.OpenOut) error {
	if n.kind == unix.S_IFDIR {
		return unix.EISDIR
	}
	if err := s.handles.reserve(); err != nil {
		return err
	}
	fd, err := s.content(n, int(flags&openFlags))
	if err != nil {
		s.handles.unreserve()
		return err
	}
	if flags&unix.O_TRUNC != 0 {
		s.wrote(n, fd)
	}
	s.opened(n, fd, flags, out)
	return nil
}

// opened answers with a handle for fd, whose room is reserved.
func (s *server) opened(n *node, fd int, flags uint32, out *fuse.OpenOut) {
	s.nodes.opened(n)
	out.Fh = s.handles.add(&handle{node: n, fd: fd, writable: flags&unix.O_ACCMODE != unix.O_RDONLY})
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
}

// wrote notes a change that the guest made itself.
func (s *server) wrote(n *node, fd int) {
	if st, err := statFD(fd); err == nil {
		s.nodes.tell(n, &st)
	}
}

// fresh compares a held file with what the guest knows of it. If another file
// has its name, or its content was changed on the host, the answer is ESTALE,
// once: the guest's kernel then looks the name up again, takes what it cached
// for invalid, and opens again. So an edit is seen at once by who opens the file.
// same is whether the pages that the guest has of it are good.
func (t *nodeTable) fresh(n *node) (same bool, _ error) {
	parent, name := t.enter(n)
	if parent == nil {
		return true, nil
	}
	if t.grabbed(parent, 0) != nil {
		return false, nil // it is open already, and its name is not needed
	}
	st, err := statAt(parent.fd, name)
	t.drop(parent)
	t.mu.Lock()
	defer t.mu.Unlock()
	same = err == nil && identify(&st) == n.key && stampOf(&st) == n.told
	if !same && !n.asked {
		n.asked = true
		return false, unix.ESTALE
	}
	same = same && !n.doubted
	n.asked, n.doubted = false, false
	return same, nil
}

// Release closes a handle, and drops its flock.
func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) { s.release(in.Fh) }

// ReleaseDir closes a directory.
func (s *server) ReleaseDir(in *fuse.ReleaseIn) { s.release(in.Fh) }

func (s *server) release(fh uint64) {
	if h := s.handles.remove(fh); h != nil {
		s.nodes.closed(h.node)
	}
}
