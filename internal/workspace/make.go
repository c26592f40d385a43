//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mknod makes regular files, FIFOs and sockets. The latter two are used inside
// the guest only; device nodes (and with them whiteouts) are never made.
func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.make(&in.InHeader, name, out, func(dir *node) error {
		switch kind := in.Mode & unix.S_IFMT; kind {
		case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
			return unix.Mknodat(dir.fd, name, kind|plain(in.Mode), 0)
		}
		return unix.EPERM
	})
}

// Mkdir makes a directory.
func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return s.make(&in.InHeader, name, out, func(dir *node) error {
		return unix.Mkdirat(dir.fd, name, plain(in.Mode))
	})
}

// Symlink makes a symbolic link, whatever its text says.
func (s *server) Symlink(_ <-chan struct{}, in *fuse.InHeader, text, name string, out *fuse.EntryOut) fuse.Status {
	return s.make(in, name, out, func(dir *node) error {
		return unix.Symlinkat(text, dir.fd, name)
	})
}

// make runs one system call that makes name, and answers with the result.
func (s *server) make(in *fuse.InHeader, name string, out *fuse.EntryOut, call func(dir *node) error) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error {
		if err := s.frozen(); err != nil {
			return err
		}
		if err := call(dir); err != nil {
			return err
		}
		return s.made(dir, name, in, out)
	}))
}

// Link gives a node one more name.
func (s *server) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error {
		if err := s.frozen(); err != nil {
			return err
		}
		n, err := s.nodes.hold(in.Oldnodeid)
		if err != nil {
			return err
		}
		defer s.nodes.drop(n)
		if n.kind == unix.S_IFDIR {
			return unix.EPERM
		}
		// The link in /proc leads to n itself and no further.
		if err := unix.Linkat(s.proc, byNumber(n.fd), dir.fd, name, unix.AT_SYMLINK_FOLLOW); err != nil {
			return err
		}
		return s.enter(dir, name, out)
	}))
}

// plain is a mode's permissions without set-uid and set-gid.
func plain(mode uint32) uint32 { return mode & 07777 &^ forbidden }
