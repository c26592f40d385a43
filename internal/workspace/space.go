//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Fallocate reserves, zeroes or frees a range.
func (s *server) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	const modes = unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_ZERO_RANGE
	if in.Mode&^modes != 0 {
		return fuse.ENOTSUP
	}
	return status(s.toWrite(in.Fh, in.NodeId, func(h *handle) error {
		return unix.Fallocate(h.fd, in.Mode, int64(in.Offset), int64(in.Length))
	}))
}

// Lseek finds data and holes; the guest's kernel knows the rest itself.
func (s *server) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if in.Whence != unix.SEEK_DATA && in.Whence != unix.SEEK_HOLE {
		return fuse.EINVAL
	}
	return status(s.onFile(in.Fh, in.NodeId, func(h *handle) error {
		at, err := unix.Seek(h.fd, int64(in.Offset), int(in.Whence))
		out.Offset = uint64(at)
		return err
	}))
}

// fsyncData is FUSE_FSYNC_FDATASYNC of linux/fuse.h.
const fsyncData = 1

// Fsync writes a file to the disk.
func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h, err := s.handles.get(in.Fh, in.NodeId)
	if err != nil {
		return status(err)
	}
	defer s.handles.put(h)
	if in.FsyncFlags&fsyncData != 0 {
		return status(unix.Fdatasync(h.fd))
	}
	return status(unix.Fsync(h.fd))
}

// FsyncDir writes a directory to the disk.
func (s *server) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.Fsync(cancel, in)
}
