//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// GetAttr describes a node, or an open file of it.
func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.Flags()&fuse.FUSE_GETATTR_FH != 0 {
		if h, err := s.handles.get(in.Fh(), in.NodeId); err == nil {
			defer s.handles.put(h)
			return status(s.describe(h.node, h.fd, out))
		}
	}
	n, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(n)
	return status(s.describe(n, n.fd, out))
}

// describe answers with what fd, a descriptor of n, is now.
func (s *server) describe(n *node, fd int, out *fuse.AttrOut) error {
	st, err := statFD(fd)
	if err != nil {
		return err
	}
	s.nodes.tell(n, &st)
	s.show(&out.Attr, &st)
	out.SetTimeout(cacheFor)
	return nil
}

// SetAttr changes owner, mode, size and times, in this order; the first failure
// ends it.
func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if err := s.frozen(); err != nil {
		return status(err)
	}
	n, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.nodes.drop(n)
	before, err := statFD(n.fd)
	if err != nil {
		return status(err)
	}
	for _, step := range []func(*node, *fuse.SetAttrIn) error{s.setOwner, s.setMode, s.setSize, s.setTimes} {
		if err := step(n, in); err != nil {
			return status(err)
		}
	}
	knew := s.nodes.knows(n, &before)
	err = s.describe(n, n.fd, out)
	if !knew {
		// The host changed the content before. The guest takes these attributes
		// without looking at its pages, so the next OPEN must drop them.
		s.nodes.doubt(n)
	}
	return status(err)
}

func (s *server) setOwner(n *node, in *fuse.SetAttrIn) error {
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if !hasUID && !hasGID {
		return nil
	}
	st, err := statFD(n.fd)
	if err != nil {
		return err
	}
	oldUID, oldGID := s.owners.shown(&st)
	if !hasUID {
		uid = oldUID
	}
	if !hasGID {
		gid = oldGID
	}
	s.owners.give(&st, owner{uid, gid})
	return nil
}

func (s *server) setMode(n *node, in *fuse.SetAttrIn) error {
	mode, has := in.GetMode()
	if !has {
		return nil
	}
	mode = plain(mode)
	if n.kind == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	// By an open file where possible: it works under a filter that allows no paths.
	for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY} {
		if fd, err := s.content(n, flags); err == nil {
			defer unix.Close(fd)
			return unix.Fchmod(fd, mode)
		}
	}
	return unix.Fchmodat(s.proc, byNumber(n.fd), mode, 0)
}

func (s *server) setSize(n *node, in *fuse.SetAttrIn) error {
	size, has := in.GetSize()
	if !has {
		return nil
	}
	if int64(size) < 0 {
		return unix.EINVAL
	}
	if n.kind != unix.S_IFREG {
		return unix.EINVAL
	}
	if fh, has := in.GetFh(); has {
		if h, err := s.handles.get(fh, in.NodeId); err == nil {
			defer s.handles.put(h)
			if h.writable {
				return unix.Ftruncate(h.fd, int64(size))
			}
		}
	}
	fd, err := s.content(n, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Ftruncate(fd, int64(size))
}

func (s *server) setTimes(n *node, in *fuse.SetAttrIn) error {
	const times = fuse.FATTR_ATIME | fuse.FATTR_MTIME | fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME_NOW
	if in.Valid&times == 0 {
		return nil
	}
	ts := [2]unix.Timespec{
		timeOf(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec),
		timeOf(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec),
	}
	return unix.UtimesNanoAt(n.fd, "", ts[:], unix.AT_EMPTY_PATH)
}

// timeOf is one time as utimensat(2) takes it. The guest's nanoseconds are
// bounded, since two larger values mean something there.
func timeOf(valid, set, now uint32, sec uint64, nsec uint32) unix.Timespec {
	switch {
	case valid&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case valid&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: int64(sec), Nsec: int64(min(nsec, 999_999_999))}
}
