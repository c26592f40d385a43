//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Lookup finds a name. No descriptor is opened: most names are only looked at.
// ENOENT is not cached by the guest, so that new files of the host are found.
func (s *server) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error { return s.enter(dir, name, out) }))
}

// inDir runs f with the held directory that a name from the guest is in.
func (s *server) inDir(id uint64, name string, f func(dir *node) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	dir, err := s.nodes.hold(id)
	if err != nil {
		return err
	}
	defer s.nodes.drop(dir)
	if dir.kind != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	return f(dir)
}

// enter answers with what name in dir is now.
func (s *server) enter(dir *node, name string, out *fuse.EntryOut) error {
	st, err := statAt(dir.fd, name)
	if err != nil {
		return err
	}
	n, err := s.nodes.see(dir, name, &st)
	if err != nil {
		return err
	}
	s.showEntry(out, n.id, &st)
	return nil
}

// made answers with what the request has just made as name in dir.
func (s *server) made(dir *node, name string, by *fuse.InHeader, out *fuse.EntryOut) error {
	st, err := statAt(dir.fd, name)
	if err != nil {
		return err
	}
	s.owners.created(&st, owner{by.Uid, by.Gid})
	n, err := s.nodes.see(dir, name, &st)
	if err != nil {
		return err
	}
	s.showEntry(out, n.id, &st)
	return nil
}

// Readlink returns a symbolic link's text.
func (s *server) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	n, err := s.nodes.hold(in.NodeId)
	if err != nil {
		return nil, status(err)
	}
	defer s.nodes.drop(n)
	if n.kind != unix.S_IFLNK {
		return nil, fuse.EINVAL
	}
	text := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(n.fd, "", text)
	if err != nil {
		return nil, status(err)
	}
	return text[:size], fuse.OK
}

// StatFs describes the file system that the workspace is on.
func (s *server) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(s.nodes.root.fd, &fs); err != nil {
		return status(err)
	}
	*out = fuse.StatfsOut{
		Blocks:  fs.Blocks,
		Bfree:   fs.Bfree,
		Bavail:  fs.Bavail,
		Files:   fs.Files,
		Ffree:   fs.Ffree,
		Bsize:   uint32(fs.Bsize),
		NameLen: uint32(fs.Namelen),
		Frsize:  uint32(fs.Frsize),
	}
	return fuse.OK
}
