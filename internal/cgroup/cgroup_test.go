package cgroup

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aegis/internal/instance"
)

// mounts of the usual kinds, as in /proc/self/mountinfo.
const (
	unifiedMount = "30 23 0:26 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	otherMount   = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n25 21 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)

// began is a process that can begin in any group.
func began(*Group) error { return nil }

// found is the tree of a process in that group.
func found(m *machine, own string, try func(*Group) error) *Tree {
	t := look(m, "/home/a/.aegis", otherMount+unifiedMount, "4:memory:/x\n0::"+own+"\n")
	t.open(try)
	return t
}

func TestLocate(t *testing.T) {
	for _, c := range []struct{ mounts, groups, top, own string }{
		{otherMount + unifiedMount, "0::/user.slice/a\n", "/cg", "/cg/user.slice/a"},
		{unifiedMount, "12:pids:/b\n0::/\n", "/cg", "/cg"},
		{otherMount, "0::/a\n", "", ""},
		{unifiedMount, "12:pids:/b\n", "", ""},
		{strings.Replace(unifiedMount, " / /cg", " /docker/x /cg", 1), "0::/docker/x/y\n", "/cg", "/cg/y"},
		{strings.Replace(unifiedMount, " / /cg", " /docker/x /cg", 1), "0::/docker/z\n", "", ""},
		{strings.Replace(unifiedMount, "/cg", `/c\040g`, 1), "0::/a\n", "/c g", "/c g/a"},
		{unifiedMount, "0::/../outside\n", "", ""},
		{"", "", "", ""},
	} {
		if top, own := locate(c.mounts, c.groups); top != c.top || own != c.own {
			t.Errorf("%q in %q: %q %q, want %q %q", c.groups, c.mounts, top, own, c.top, c.own)
		}
	}
}

// all are the controllers that a usual kernel has.
const all = "cpuset cpu io memory pids"

// places are machines of several kinds, and what is found there.
var places = []struct {
	name       string
	own        string
	machine    func() *machine
	parent     string // "": none
	limits     string
	cause, fix string
}{
	{"root of all", "/", func() *machine { m := newMachine(all); m.at("").procs = []string{"1", me}; return m }, "/cg", "memory pids cpu", "", ""},
	{"root in a session", "/u/s", func() *machine {
		m := newMachine(all, "u", "u/s")
		m.at("").given, m.at("u").given, m.at("u/s").procs = []string{"memory", "pids"}, []string{"memory", "pids"}, []string{"7", me}
		return m
	}, "/cg", "memory pids cpu", "", ""},
	{"a delegated scope", "/u/s", func() *machine {
		m := newMachine(all, "u", "u/s")
		m.at("").writable, m.at("u").writable = false, false
		m.at("").given, m.at("u").given = strings.Fields(all), strings.Fields(all)
		m.at("u/s").procs, m.mine = []string{me, "101"}, []string{me, "101"}
		return m
	}, "/cg/u/s", "memory pids cpu", "", ""},
	{"a scope without cpu", "/u/s", func() *machine {
		m := newMachine(all, "u", "u/s")
		m.at("").writable, m.at("u").writable = false, false
		m.at("").given, m.at("u").given, m.at("u/s").procs = []string{"memory", "pids"}, []string{"memory", "pids"}, []string{me}
		return m
	}, "/cg/u/s", "memory pids", "no controller for cpu", "Delegate=cpu"},
	{"a user's session", "/u/s", func() *machine {
		m := newMachine(all, "u", "u/s")
		for _, g := range m.groups {
			g.writable = false
		}
		return m
	}, "", "", "not delegated", "systemd-run"},
	{"a scope with others", "/u", func() *machine {
		m := newMachine(all, "u")
		m.at("").writable, m.at("").given, m.at("u").procs = false, strings.Fields(all), []string{me, "5"}
		return m
	}, "", "", "other processes", "systemd-run"},
	{"a container", "/", func() *machine {
		m := newMachine(all)
		m.sealed, m.at("").procs = true, []string{"1", me}
		return m
	}, "", "", "other processes", ""},
	{"a container of its own", "/", func() *machine {
		m := newMachine(all)
		m.sealed, m.at("").procs = true, []string{me}
		return m
	}, "/cg", "memory pids cpu", "", ""},
	{"cgroup v1", "/", func() *machine { return newMachine("hugetlb") }, "", "", "cgroup v1", "unified_cgroup_hierarchy"},
}

// TestPlaces holds which group is divided on machines of several kinds, that the right
// things are enabled there, and what is said where not all is limited.
func TestPlaces(t *testing.T) {
	for _, c := range places {
		t.Run(c.name, func(t *testing.T) {
			m := c.machine()
			tree := found(m, c.own, began)
			if got := strings.Join(tree.Controllers, " "); got != c.limits || tree.parent != c.parent && c.parent != "" {
				t.Errorf("limits %q below %q", got, tree.parent)
			}
			if !strings.Contains(tree.Cause, c.cause) || !strings.Contains(tree.Fix, c.fix) || (c.cause == "") != (tree.Cause == "") {
				t.Errorf("cause %q, fix %q", tree.Cause, tree.Fix)
			}
			if c.parent == "" {
				if tree.Dir != "" {
					t.Errorf("there is %q", tree.Dir)
				}
				return
			}
			limits := For(2, 1<<30)
			g, err := tree.Make("run-a", limits)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(tree.Controllers, cpu) {
				limits.CPUWeight = 0
			}
			if got := tree.Limits(g.Dir); got != limits {
				t.Errorf("limits %+v, want %+v", got, limits)
			}
			if err := tree.Remove(g.Dir); err != nil {
				t.Error(err)
			}
			tree.Close()
			if m.groups[tree.Dir] != nil {
				t.Error("the home's group is left")
			}
		})
	}
}

// TestFor holds that limits follow the instance's shape.
func TestFor(t *testing.T) {
	small, large := For(1, 512<<20), For(8, 4<<30)
	if small.Memory < 512<<20+128<<20+128<<20 || large.Memory-small.Memory < 4<<30-512<<20 || large.Memory > 5<<30+128<<20 {
		t.Errorf("memory %d, %d", small.Memory, large.Memory)
	}
	if large.PIDs <= small.PIDs || large.CPUWeight != 8*small.CPUWeight || small.CPUWeight != 100 {
		t.Errorf("%+v %+v", small, large)
	}
	if most := For(1000, 0).CPUWeight; most != 10000 {
		t.Errorf("the kernel takes no weight of %d", most)
	}
}

// TestUnusable holds that a tree in which no process can begin is none, and is taken away.
func TestUnusable(t *testing.T) {
	m := newMachine("memory pids cpu")
	tree := found(m, "/", func(g *Group) error {
		if m.groups[g.Dir] == nil {
			t.Error("it is tried without a group")
		}
		return syscall.EACCES
	})
	if tree.Dir != "" || len(tree.Controllers) > 0 || !strings.Contains(tree.Cause, "permission denied") || tree.Fix == "" || len(m.groups) != 1 {
		t.Errorf("%+v, groups %v", tree, m.groups)
	}
	if g, err := tree.Make("run-a", For(1, 0)); g != nil || err != nil {
		t.Errorf("%v %v", g, err)
	}
}

// TestLook holds that looking changes nothing.
func TestLook(t *testing.T) {
	m := newMachine("memory pids cpu", "u")
	m.at("").writable, m.at("").given, m.at("u").procs = false, []string{"memory", "pids", "cpu"}, []string{me}
	tree := look(m, "/home", unifiedMount, "0::/u\n")
	if tree.Cause != "" || len(m.groups) != 2 || len(m.at("u").given) > 0 {
		t.Errorf("%+v, groups %v", tree, m.groups)
	}
}

// TestTakenAway holds that a run is limited also where another program has meanwhile
// taken the home's group, or its controllers.
func TestTakenAway(t *testing.T) {
	m := newMachine("memory pids cpu")
	tree := found(m, "/", began)
	m.at("").given = nil
	delete(m.groups, tree.Dir)
	g, err := tree.Make("run-a", For(1, 1<<30))
	if err != nil || tree.Limits(g.Dir).Memory == 0 {
		t.Fatalf("%+v %v", g, err)
	}
}

// TestRemove holds that a group goes when its processes have ended, and that what does
// not end is killed.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine("memory pids cpu")
		tree := found(m, "/", began)
		ends, err := tree.Make("run-a", For(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		stays, err := tree.Make("run-b", For(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		m.groups[ends.Dir].procs, m.groups[stays.Dir].procs = []string{"7"}, []string{"8"}
		time.AfterFunc(patience/2, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.groups[ends.Dir].procs = nil
		})
		for dir, least := range map[string]time.Duration{ends.Dir: patience / 2, stays.Dir: patience} {
			at := time.Now()
			if err := tree.Remove(dir); err != nil {
				t.Error(err)
			}
			if took := time.Since(at); m.groups[dir] != nil || took < least-patience/2 || took > patience+time.Second {
				t.Errorf("%s is there: %v, after %v", dir, m.groups[dir] != nil, took)
			}
		}
		if err := tree.Remove(ends.Dir); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}

// TestSweep holds that what an earlier daemon has left is removed, and no known run's.
func TestSweep(t *testing.T) {
	m := newMachine("memory pids cpu")
	tree := found(m, "/", began)
	for _, run := range []string{"run-a", "run-b"} {
		if _, err := tree.Make(run, instance.Limits{Memory: 1, PIDs: 1, CPUWeight: 1}); err != nil {
			t.Fatal(err)
		}
	}
	again := found(m, "/", began)
	if err := again.Sweep(func(run string) bool { return run == "run-b" }); err != nil {
		t.Fatal(err)
	}
	if left := m.list(tree.Dir); !slices.Equal(left, []string{"run-b"}) {
		t.Errorf("left are %v", left)
	}
	tree.Close()
	if m.groups[tree.Dir] == nil {
		t.Error("the home's group went with a run in it")
	}
}

// TestFails holds that a group which could not be limited is no group.
func TestFails(t *testing.T) {
	m := newMachine("memory pids cpu")
	tree := found(m, "/", began)
	limits := instance.Limits{Memory: 1, PIDs: 1, CPUWeight: 1}
	if g, err := tree.Make("run-a", instance.Limits{Memory: 1, PIDs: 1}); g != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%+v %v", g, err)
	}
	if left := m.list(tree.Dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	m.groups[tree.Dir].writable = false
	if g, err := tree.Make("run-a", limits); g != nil || !errors.Is(err, syscall.EACCES) {
		t.Errorf("%+v %v", g, err)
	}
	if left := m.list(tree.Dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
