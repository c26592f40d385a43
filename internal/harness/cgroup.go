//go:build linux

package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Where the groups are: each process of the host's gets one of its own below
// aegis, to tell its out-of-memory kills and to end it whole.
const (
	cgroupRoot = "/sys/fs/cgroup"
	cgroupDir  = cgroupRoot + "/aegis"
)

// cgroups makes groups below dir. The zero value makes none.
//
// To make one and remove it takes 2 ms without KVM, and the kernel goes on about it
// behind that: a process gets the group of one that has ended, if that is as it was.
type cgroups struct {
	dir   string
	watch *watch // on all groups; nil: each is used once
	mu    sync.Mutex
	made  int      // how many, for their names
	spare *cgroup  // there ahead: nobody then waits for it
	left  []string // ended, but processes that were left behind keep them
}

// newCgroups lets memory and processes be counted by group.
func newCgroups(root, dir string) (*cgroups, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	for _, parent := range []string{root, dir} {
		if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+memory +pids"), 0); err != nil {
			return nil, err
		}
	}
	return &cgroups{dir: dir, watch: newWatch()}, nil
}

// cgroup is the group of one process. A nil one does nothing.
type cgroup struct {
	of   *cgroups
	path string
	mark int32 // of the watch

	// Descriptors: of the directory, to start processes in it, and of two files, which are
	// read often; -1 where one can't be opened.
	fd, procs, events int
}

// take gives a process its group, or nil where there are none.
func (c *cgroups) take() (*cgroup, error) {
	if c == nil || c.dir == "" {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.spare; g != nil {
		c.spare = nil
		return g, nil
	}
	return c.make()
}

// make makes a group. c.mu is held.
func (c *cgroups) make() (*cgroup, error) {
	c.made++
	path := filepath.Join(c.dir, strconv.Itoa(c.made))
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	g := &cgroup{of: c, path: path, fd: fd, mark: c.watch.add(path)}
	g.procs, _ = unix.Openat(fd, "cgroup.procs", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	g.events, _ = unix.Openat(fd, "memory.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return g, nil
}

// kill ends every process of the group at once. False: it can't.
func (g *cgroup) kill() bool {
	return g != nil && os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0) == nil
}

// oomKills is how many processes of the group the kernel has killed for memory.
func (g *cgroup) oomKills() int {
	if g == nil {
		return 0
	}
	body, err := os.ReadFile(filepath.Join(g.path, "memory.events"))
	if err != nil {
		return 0
	}
	return killed(body)
}

// killed reads memory.events.
func killed(body []byte) int {
	for line := range strings.Lines(string(body)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}

// release has the next process get the group, if nobody is in it, nobody was killed in it
// for memory, and nobody has set anything there. Else it is removed, now or when what its
// process left behind has ended, and one is made for the next process.
func (g *cgroup) release() {
	if g == nil {
		return
	}
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.of.spare == nil && g.asNew() {
		g.of.spare = g
		return
	}
	closeAll([]uintptr{uintptr(g.fd), uintptr(g.procs), uintptr(g.events)})
	var busy []string
	for _, path := range append(g.of.left, g.path) {
		if err := unix.Rmdir(path); err == unix.EBUSY {
			busy = append(busy, path)
		}
	}
	g.of.left = busy
	if g.of.spare == nil {
		g.of.spare, _ = g.of.make() // take tries again, and says why it can't
	}
}

// asNew reports whether the group can't be told from a new one.
func (g *cgroup) asNew() bool {
	if !g.of.watch.untouched(g.mark) {
		return false
	}
	var buf [512]byte
	if n, err := unix.Pread(g.procs, buf[:], 0); n != 0 || err != nil { // somebody is in it
		return false
	}
	n, err := unix.Pread(g.events, buf[:], 0)
	return n > 0 && err == nil && killed(buf[:n]) == 0
}
