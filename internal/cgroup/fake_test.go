package cgroup

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// machine is a kernel whose groups are in memory, with the rules of cgroup-v2.rst that
// matter here.
type machine struct {
	mu     sync.Mutex
	top    string                // the root of all groups, or a place that only looks like it: see sealed
	groups map[string]*fakeGroup // by path
	sealed bool                  // top is that of a namespace: it has a type
	mine   []string              // processes that may be moved
}

type fakeGroup struct {
	writable bool
	offered  []string // cgroup.controllers of the top; others have what their parent gives
	given    []string // cgroup.subtree_control
	procs    []string
	files    map[string]string
}

const me = "100"

// newMachine has groups at these paths below /cg, all writable, the top with those
// controllers.
func newMachine(controllers string, paths ...string) *machine {
	m := &machine{top: "/cg", mine: []string{me}, groups: map[string]*fakeGroup{}}
	for _, path := range append([]string{""}, paths...) {
		m.groups[filepath.Join(m.top, path)] = &fakeGroup{writable: true, files: map[string]string{}}
	}
	m.groups[m.top].offered = strings.Fields(controllers)
	return m
}

func (m *machine) at(path string) *fakeGroup { return m.groups[filepath.Join(m.top, path)] }

// has is the controllers of a group.
func (m *machine) has(path string) []string {
	if path == m.top {
		return m.groups[path].offered
	}
	return m.groups[filepath.Dir(path)].given
}

// of is the group that a file belongs to.
func (m *machine) of(path string) (*fakeGroup, string) {
	if g := m.groups[path]; g != nil {
		return g, "."
	}
	return m.groups[filepath.Dir(path)], filepath.Base(path)
}

func (m *machine) exists(path string) bool {
	g, name := m.of(path)
	return g != nil && (name != "cgroup.type" || m.sealed || filepath.Dir(path) != m.top)
}

func (m *machine) writable(path string) bool {
	g, _ := m.of(path)
	return g != nil && g.writable
}

func (m *machine) read(path string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, name := m.of(path)
	switch {
	case g == nil:
		return ""
	case name == procs:
		return strings.Join(g.procs, "\n")
	case name == control:
		return strings.Join(g.given, " ")
	case name == "cgroup.controllers":
		return strings.Join(m.has(filepath.Dir(path)), " ")
	}
	return g.files[name]
}

func (m *machine) write(path, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, name := m.of(path)
	dir := filepath.Dir(path)
	inner := dir != m.top || m.sealed
	switch {
	case g == nil:
		return fs.ErrNotExist
	case !g.writable:
		return syscall.EACCES
	case name == "cgroup.kill":
		g.procs = nil
	case name == control && inner && len(g.procs) > 0:
		return syscall.EBUSY
	case name == control && !slices.Contains(m.has(dir), text[1:]):
		return syscall.ENOENT
	case name == control:
		g.given = append(g.given, text[1:])
	case name == procs && inner && len(g.given) > 0:
		return syscall.EBUSY
	case name == procs:
		for _, other := range m.groups {
			other.procs = slices.DeleteFunc(other.procs, func(p string) bool { return p == text })
		}
		g.procs = append(g.procs, text)
	default:
		of, _, _ := strings.Cut(name, ".")
		if !slices.Contains(m.has(dir), of) {
			return fs.ErrNotExist
		}
		if n, err := strconv.Atoi(text); err != nil || n < 1 {
			return syscall.EINVAL
		}
		g.files[name] = text
	}
	return nil
}

func (m *machine) mkdir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch above := m.groups[filepath.Dir(path)]; {
	case above == nil:
		return fs.ErrNotExist
	case !above.writable:
		return syscall.EACCES
	case m.groups[path] != nil:
		return fs.ErrExist
	}
	m.groups[path] = &fakeGroup{writable: true, files: map[string]string{}}
	return nil
}

func (m *machine) rmdir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[path]
	if g == nil {
		return fs.ErrNotExist
	}
	if len(g.procs) > 0 {
		return syscall.EBUSY
	}
	for other := range m.groups {
		if filepath.Dir(other) == path {
			return syscall.EBUSY
		}
	}
	delete(m.groups, path)
	return nil
}

func (m *machine) list(path string) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for other := range m.groups {
		if filepath.Dir(other) == path {
			out = append(out, filepath.Base(other))
		}
	}
	return out
}

func (m *machine) ours(pid string) bool { return slices.Contains(m.mine, pid) }
func (m *machine) self() string         { return me }
