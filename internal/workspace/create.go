//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Create makes a regular file and opens it, or without O_EXCL opens the one that
// the host has made meanwhile.
func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error {
		if err := s.frozen(); err != nil {
			return err
		}
		if err := s.handles.reserve(); err != nil {
			return err
		}
		flags := int(in.Flags&openFlags) | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err := unix.Openat(dir.fd, name, flags, plain(in.Mode))
		if err != nil {
			s.handles.unreserve()
			if err == unix.EEXIST && in.Flags&unix.O_EXCL == 0 {
				return s.openExisting(dir, name, in.Flags, out)
			}
			return err
		}
		return s.created(dir, name, fd, in, out)
	}))
}

// created answers with the new file fd, whose room is reserved.
func (s *server) created(dir *node, name string, fd int, in *fuse.CreateIn, out *fuse.CreateOut) error {
	n, err := s.adoptNew(dir, name, fd, &in.InHeader, &out.EntryOut)
	if err != nil {
		unix.Close(fd)
		s.handles.unreserve()
		return err
	}
	s.opened(n, fd, in.Flags, &out.OpenOut)
	return nil
}

// adoptNew gives the guest the file fd, and the node a descriptor of its own, so
// that it outlives its name.
func (s *server) adoptNew(dir *node, name string, fd int, by *fuse.InHeader, out *fuse.EntryOut) (*node, error) {
	if err := s.nodes.reserve(); err != nil {
		return nil, err
	}
	path, err := unix.Openat(s.proc, byNumber(fd), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		s.nodes.unreserve()
		return nil, err
	}
	st, err := statFD(fd)
	if err == nil {
		s.owners.created(&st, owner{by.Uid, by.Gid})
		var n *node
		if n, err = s.nodes.see(dir, name, &st); err == nil {
			s.nodes.adopt(n, path)
			s.showEntry(out, n.id, &st)
			return n, nil
		}
	}
	unix.Close(path)
	s.nodes.unreserve()
	return nil, err
}

// openExisting opens what is there under name. A symbolic link or anything else
// but a file is ESTALE: the guest's kernel looks again and decides itself.
func (s *server) openExisting(dir *node, name string, flags uint32, out *fuse.CreateOut) error {
	st, err := statAt(dir.fd, name)
	if err != nil {
		return err
	}
	if kindOf(&st) != unix.S_IFREG {
		return unix.ESTALE
	}
	if err := s.enter(dir, name, &out.EntryOut); err != nil {
		return err
	}
	id := out.NodeId
	n, err := s.nodes.hold(id)
	if err == nil {
		err = s.open(n, flags, &out.OpenOut)
		s.nodes.drop(n)
	}
	if err != nil {
		s.nodes.forget(id, 1) // the reply will not carry it
	}
	return err
}

// Tmpfile makes a file that has no name yet, in a directory.
func (s *server) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if err := s.frozen(); err != nil {
		return status(err)
	}
	dir, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(dir)
	if dir.kind != unix.S_IFDIR {
		return fuse.ENOTDIR
	}
	if err := s.handles.reserve(); err != nil {
		return status(err)
	}
	fd, err := unix.Openat(dir.fd, ".", int(in.Flags&openFlags)|unix.O_TMPFILE|unix.O_CLOEXEC, plain(in.Mode))
	if err != nil {
		s.handles.unreserve()
		return status(err)
	}
	return status(s.created(nil, "", fd, in, out))
}
