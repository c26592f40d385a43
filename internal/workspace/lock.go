//go:build linux

package workspace

import (
	"math"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// lockOwner is one process of the guest on one file.
type lockOwner struct{ node, owner uint64 }

// lockTable keeps fcntl locks. Each owner has an open file of its own, since
// locks of open files (F_OFD_SETLK) exclude each other as those of processes do.
type lockTable struct {
	mu sync.Mutex // also held during the calls, none of which blocks
	fd map[lockOwner]int
}

func newLockTable() *lockTable { return &lockTable{fd: map[lockOwner]int{}} }

func (t *lockTable) close() {
	for _, fd := range t.fd {
		unix.Close(fd)
	}
}

// GetLk finds a lock that would be in the way.
func (s *server) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	lk, err := flockOf(&in.Lk)
	if err == nil {
		err = s.onFile(in.Fh, in.NodeId, func(h *handle) error { return s.ofd(h, in.Owner, unix.F_OFD_GETLK, &lk) })
	}
	if err != nil {
		return status(err)
	}
	out.Lk = fuse.FileLock{Start: uint64(lk.Start), End: math.MaxInt64, Typ: uint32(lk.Type)}
	if lk.Len > 0 {
		out.Lk.End = uint64(lk.Start + lk.Len - 1)
	}
	return fuse.OK
}

// SetLk takes or drops a lock, or fails with EAGAIN.
func (s *server) SetLk(_ <-chan struct{}, in *fuse.LkIn) fuse.Status { return status(s.lock(in)) }

// SetLkw waits for a lock until the guest gives up. The kernel tells nobody when
// a lock that we could take becomes free, so it is tried, ever more rarely.
func (s *server) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	const first, last = time.Millisecond, 50 * time.Millisecond
	for pause := first; ; pause = min(2*pause, last) {
		if err := s.lock(in); err != unix.EAGAIN {
			return status(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-cancel:
			timer.Stop()
			return fuse.EINTR
		case <-s.done:
			timer.Stop()
			return fuse.EINTR
		}
	}
}

func (s *server) lock(in *fuse.LkIn) error {
	return s.onFile(in.Fh, in.NodeId, func(h *handle) error {
		if in.LkFlags&fuse.LK_FLOCK != 0 {
			return flock(h.fd, in.Lk.Typ)
		}
		lk, err := flockOf(&in.Lk)
		if err != nil {
			return err
		}
		err = s.ofd(h, in.Owner, unix.F_OFD_SETLK, &lk)
		if err == unix.EACCES { // as fcntl(2) may say instead
			err = unix.EAGAIN
		}
		return err
	})
}

// flock is BSD's lock, which belongs to the handle.
func flock(fd int, kind uint32) error {
	how := map[uint32]int{unix.F_RDLCK: unix.LOCK_SH, unix.F_WRLCK: unix.LOCK_EX, unix.F_UNLCK: unix.LOCK_UN}[kind]
	if how == 0 {
		return unix.EINVAL
	}
	return unix.Flock(fd, how|unix.LOCK_NB)
}

// flockOf checks and translates a range.
func flockOf(lk *fuse.FileLock) (unix.Flock_t, error) {
	if lk.Typ > unix.F_UNLCK || lk.Start > lk.End || lk.End > math.MaxInt64 {
		return unix.Flock_t{}, unix.EINVAL
	}
	out := unix.Flock_t{Type: int16(lk.Typ), Start: int64(lk.Start)}
	if lk.End != math.MaxInt64 { // which is 0 here: to the end, however far
		out.Len = int64(lk.End - lk.Start + 1)
	}
	return out, nil
}

// ofd runs one fcntl(2) on the owner's open file, which is made when needed.
func (s *server) ofd(h *handle, who uint64, cmd int, lk *unix.Flock_t) error {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	key := lockOwner{h.node.id, who}
	fd, has := s.locks.fd[key]
	if !has {
		if lk.Type == unix.F_UNLCK {
			return nil
		}
		var err error
		if fd, err = s.lockFile(h); err != nil {
			return err
		}
		s.locks.fd[key] = fd
	}
	return unix.FcntlFlock(uintptr(fd), cmd, lk)
}

// lockFile opens h's file once more, for both kinds of locks where possible.
func (s *server) lockFile(h *handle) (int, error) {
	if err := s.handles.reserve(); err != nil {
		return -1, unix.ENOLCK
	}
	modes := []int{unix.O_RDWR, unix.O_WRONLY, unix.O_RDONLY}
	if !h.writable {
		modes = []int{unix.O_RDWR, unix.O_RDONLY}
	}
	if s.opts.ReadOnly {
		modes = []int{unix.O_RDONLY}
	}
	err := error(unix.EBADF)
	for _, mode := range modes {
		var fd int
		if fd, err = unix.Openat(s.proc, byNumber(h.fd), mode|unix.O_CLOEXEC, 0); err == nil {
			return fd, nil
		}
	}
	s.handles.unreserve()
	return -1, err
}

// Flush is close(2) of one descriptor, which drops the caller's fcntl locks.
func (s *server) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	key := lockOwner{in.NodeId, in.LockOwner}
	if fd, has := s.locks.fd[key]; has {
		unix.Close(fd)
		delete(s.locks.fd, key)
		s.handles.unreserve()
	}
	return fuse.OK
}
