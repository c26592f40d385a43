//go:build linux

package harness

import (
	"bufio"
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
type cgroups struct {
	dir   string
	mu    sync.Mutex
	made  int      // how many, for their names
	spare *cgroup  // made ahead: nobody then waits for it
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
	return &cgroups{dir: dir}, nil
}

// cgroup is the group of one process. A nil one does nothing.
type cgroup struct {
	of   *cgroups
	path string
	fd   int // of the directory, to start processes in it
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
	return &cgroup{c, path, fd}, nil
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
	f, err := os.Open(filepath.Join(g.path, "memory.events"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if count, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			n, _ := strconv.Atoi(count)
			return n
		}
	}
	return 0
}

// release removes the group, now or when what its process left behind has ended,
// and makes one ahead for the next process.
func (g *cgroup) release() {
	if g == nil {
		return
	}
	unix.Close(g.fd)
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
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
