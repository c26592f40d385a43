//go:build linux

package workspace

import (
	"bytes"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// userXattr is the one namespace that is passed on. security.* and trusted.*
// would mean something to the host; system.* are ACLs, which name its users.
const userXattr = "user."

// onXattrs runs f with a descriptor of a node that can have such attributes;
// others are as if they had none.
func (s *server) onXattrs(id uint64, none error, f func(fd int) error) error {
	n, err := s.nodes.hold(id)
	if err != nil {
		return err
	}
	defer s.nodes.drop(n)
	if n.kind != unix.S_IFREG && n.kind != unix.S_IFDIR {
		return none
	}
	fd, err := s.content(n, unix.O_RDONLY)
	if err == unix.EACCES && n.kind == unix.S_IFREG {
		fd, err = s.content(n, unix.O_WRONLY)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

// GetXAttr reads an attribute, or only its size for an empty dest.
func (s *server) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, userXattr) {
		if strings.HasPrefix(name, "system.") {
			return 0, fuse.ENOTSUP
		}
		return 0, fuse.ENODATA
	}
	n := 0
	err := s.onXattrs(in.NodeId, unix.ENODATA, func(fd int) (err error) {
		n, err = unix.Fgetxattr(fd, name, dest)
		return err
	})
	return uint32(max(n, 0)), status(err)
}

// ListXAttr lists the names that GetXAttr would find.
func (s *server) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	var names []byte
	err := s.onXattrs(in.NodeId, nil, func(fd int) error {
		all := make([]byte, maxXattr)
		n, err := unix.Flistxattr(fd, all)
		if err != nil {
			return err
		}
		for _, name := range bytes.SplitAfter(all[:n], []byte{0}) {
			if bytes.HasPrefix(name, []byte(userXattr)) {
				names = append(names, name...)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, status(err)
	case len(dest) == 0:
		return uint32(len(names)), fuse.OK
	case len(names) > len(dest):
		return 0, fuse.ERANGE
	}
	return uint32(copy(dest, names)), fuse.OK
}

// SetXAttr sets an attribute.
func (s *server) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	if int(in.Size) != len(data) {
		return fuse.EINVAL
	}
	return status(s.changeXattr(in.NodeId, name, func(fd int) error {
		return unix.Fsetxattr(fd, name, data, int(in.Flags))
	}))
}

// RemoveXAttr removes an attribute.
func (s *server) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return status(s.changeXattr(in.NodeId, name, func(fd int) error {
		return unix.Fremovexattr(fd, name)
	}))
}

func (s *server) changeXattr(id uint64, name string, f func(fd int) error) error {
	if err := s.frozen(); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(name, userXattr):
		return s.onXattrs(id, unix.EPERM, f)
	case strings.HasPrefix(name, "system."):
		return unix.EOPNOTSUPP
	}
	return unix.EPERM
}
