//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Rename is RENAME and RENAME2, with RENAME_NOREPLACE or RENAME_EXCHANGE.
// RENAME_WHITEOUT would make a device node.
func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	return status(s.inDir(in.NodeId, name, func(dir *node) error {
		if err := s.frozen(); err != nil {
			return err
		}
		if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
			return unix.EINVAL
		}
		return s.inDir(in.Newdir, newName, func(newDir *node) error {
			return s.rename(dir, name, newDir, newName, uint(in.Flags))
		})
	}))
}

// rename moves within held directories and keeps the recorded places true.
func (s *server) rename(dir *node, name string, newDir *node, newName string, flags uint) error {
	t := s.nodes
	t.names.Lock()
	defer t.names.Unlock()
	st, err := statAt(dir.fd, name)
	if err != nil {
		return err
	}
	target, missing := statAt(newDir.fd, newName)
	if err := unix.Renameat2(dir.fd, name, newDir.fd, newName, flags); err != nil {
		return err
	}
	switch {
	case missing != nil:
	case identify(&target) == identify(&st): // two names of one file: nothing was done
		return nil
	case flags&unix.RENAME_EXCHANGE != 0:
		t.exchanged(&st, dir, name, &target, newDir, newName)
		return nil
	default:
		s.gone(newDir, newName, &target)
	}
	t.moved(&st, dir, name, newDir, newName)
	return nil
}

// exchanged notes that two places have swapped their inodes.
func (t *nodeTable) exchanged(a *unix.Statx_t, aDir *node, aName string, b *unix.Statx_t, bDir *node, bName string) {
	t.moved(a, aDir, aName, bDir, bName)
	t.moved(b, bDir, bName, aDir, aName)
}
