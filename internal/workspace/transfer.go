//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// onFile runs f with a handle on a regular file.
func (s *server) onFile(fh, node uint64, f func(h *handle) error) error {
	h, err := s.handles.get(fh, node)
	if err != nil {
		return err
	}
	defer s.handles.put(h)
	if h.node.kind != unix.S_IFREG {
		return unix.EISDIR
	}
	return f(h)
}

// toWrite is onFile for what changes content; it then notes the change. That the
// handle may write is the host's open(2) to know.
func (s *server) toWrite(fh, node uint64, f func(h *handle) error) error {
	if err := s.frozen(); err != nil {
		return err
	}
	return s.onFile(fh, node, func(h *handle) error {
		err := f(h)
		s.wrote(h.node, h.fd)
		return err
	})
}

// Read reads into buf, which is as long as the guest asked for.
func (s *server) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := 0
	err := s.onFile(in.Fh, in.NodeId, func(h *handle) error {
		for n < len(buf) { // a short answer means the end of the file
			got, err := unix.Pread(h.fd, buf[n:], int64(in.Offset)+int64(n))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			if got == 0 {
				break
			}
			n += got
		}
		return nil
	})
	if err != nil {
		return nil, status(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Writev is WRITE.
func (s *server) Writev(_ <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	total := 0
	for _, d := range data {
		total += len(d)
	}
	if total != int(in.Size) {
		return 0, fuse.EINVAL
	}
	// What comes from the guest's page cache has its offset, also on a handle
	// that appends.
	flags := 0
	if in.Flags&unix.O_APPEND != 0 && in.WriteFlags&fuse.WRITE_CACHE == 0 {
		flags = unix.RWF_APPEND
	}
	n := 0
	err := s.toWrite(in.Fh, in.NodeId, func(h *handle) (err error) {
		n, err = unix.Pwritev2(h.fd, data, int64(in.Offset), flags)
		return err
	})
	return uint32(max(n, 0)), status(err)
}

// maxCopy bounds one COPY_FILE_RANGE, and so how long it takes; the caller goes
// on after a short one.
const maxCopy = 16 << 20

// CopyFileRange copies on the host.
func (s *server) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if in.Flags != 0 {
		return 0, fuse.EINVAL
	}
	target := in.NodeIdOut
	n := 0
	err := s.onFile(in.FhIn, in.NodeId, func(from *handle) error {
		return s.toWrite(in.FhOut, target, func(to *handle) (err error) {
			src, dst := int64(in.OffIn), int64(in.OffOut)
			n, err = unix.CopyFileRange(from.fd, &src, to.fd, &dst, int(min(in.Len, maxCopy)), 0)
			return err
		})
	})
	return uint32(max(n, 0)), status(err)
}
