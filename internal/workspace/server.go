//go:build linux

package workspace

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/undo"
)

// cacheFor is how long the guest may believe names and attributes without
// asking: host edits are seen within it.
const cacheFor = time.Second

// server is the file system; one method an operation, spread over the files of
// this package. What it leaves out is ENOSYS.
type server struct {
	fuse.RawFileSystem
	opts    Options
	nodes   *nodeTable
	handles *handleTable
	locks   *lockTable
	owners  *ownerTable
	proc    int           // O_PATH on /proc/self/fd
	done    chan struct{} // closed when no request may block any more
}

func newServer(root *os.File, opts Options) (*server, error) {
	var u undo.Stack
	defer u.Run()
	proc, err := openProc(opts.Proc)
	if err != nil {
		return nil, fault.New(fault.Workspace, root.Name(), "serve workspace", "/proc/self/fd can't be opened: %w", err)
	}
	u.Add(func() { unix.Close(proc) })
	top, err := unix.Openat(int(root.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault.New(fault.Workspace, root.Name(), "serve workspace", "it can't be opened as a directory: %w", err)
	}
	u.Add(func() { unix.Close(top) })
	st, err := statFD(top)
	if err != nil {
		return nil, fmt.Errorf("stat workspace %q: %w", root.Name(), err)
	}
	limits := newLimits(opts)
	u.Keep()
	return &server{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		opts:          opts,
		nodes:         newNodeTable(top, &st, limits),
		handles:       newHandleTable(limits.handles),
		locks:         newLockTable(),
		owners:        newOwnerTable(),
		proc:          proc,
		done:          make(chan struct{}),
	}, nil
}

// openProc returns a descriptor of /proc/self/fd that is ours to close.
func openProc(given *os.File) (int, error) {
	if given != nil {
		return unix.FcntlInt(given.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	}
	return unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// close releases every descriptor. No request may be in work.
func (s *server) close() {
	s.locks.close()
	s.handles.close()
	s.nodes.close()
	unix.Close(s.proc)
}

// limits share out the process's descriptors.
type limits struct {
	nodes   int // inodes known
	fds     int // O_PATH descriptors of them
	handles int // open files and lock owners
}

// newLimits leaves a sixth, and at least 128 where there are as many, to what
// requests open for a moment and to the rest of the process.
func newLimits(opts Options) limits {
	files := 1024
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		files = int(min(r.Cur, 1<<16))
	}
	l := limits{nodes: opts.MaxNodes, handles: opts.MaxHandles, fds: files / 2}
	if l.nodes <= 0 {
		l.nodes = 1 << 20
	}
	if l.handles <= 0 {
		l.handles = min(files/3, 8192)
	}
	return l
}

// String names the file system in the library's messages.
func (s *server) String() string { return "aegis" }

// frozen refuses changes of a read-only workspace.
func (s *server) frozen() error {
	if s.opts.ReadOnly {
		return unix.EROFS
	}
	return nil
}

// byNumber is what a descriptor is called in s.proc.
func byNumber(fd int) string { return strconv.Itoa(fd) }

// content opens a held node for reading or writing. Only regular files and
// directories have content here: opening a FIFO could block, and a device acts.
func (s *server) content(n *node, flags int) (int, error) {
	switch n.kind {
	case unix.S_IFREG, unix.S_IFDIR:
		return unix.Openat(s.proc, byNumber(n.fd), flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	case unix.S_IFLNK:
		return -1, unix.ELOOP
	}
	return -1, unix.EPERM
}

// checkName holds that a name is one component of a path.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return unix.EINVAL
	case len(name) > unix.NAME_MAX:
		return unix.ENAMETOOLONG
	case strings.ContainsAny(name, "/\x00"):
		return unix.EINVAL
	}
	return nil
}

// status is an error as the guest's kernel reads it.
func status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	if errno, ok := err.(unix.Errno); ok {
		return fuse.Status(errno)
	}
	return fuse.EIO
}
