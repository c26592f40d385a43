package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"aegis/internal/instance"
	"aegis/internal/undo"
)

// Group is one run's, until the shim has begun in it.
type Group struct {
	Dir string // its directory, absolute

	file *os.File // nil until Enter
}

// Make makes the group of a run with those limits, as far as the tree's controllers go;
// nil in a tree that limits nothing. On an error nothing is left.
func (t *Tree) Make(run string, limits instance.Limits) (*Group, error) {
	if t.Dir == "" {
		return nil, nil
	}
	var u undo.Stack
	defer u.Run()
	if err := t.establish(); err != nil {
		return nil, err
	}
	g := &Group{Dir: filepath.Join(t.Dir, run)}
	if err := t.kernel.mkdir(g.Dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make a group: %w", err)
	}
	u.Add(func() { t.kernel.rmdir(g.Dir) })
	for _, s := range settings(limits) {
		if !slices.Contains(t.Controllers, s.of) {
			continue
		}
		if err := t.kernel.write(filepath.Join(g.Dir, s.file), s.text); err != nil && !s.optional {
			return nil, fmt.Errorf("limit a group by %s: %w", s.file, err)
		}
	}
	u.Keep()
	return g, nil
}

// setting is what is written to one file of a group.
type setting struct {
	of, file, text string
	optional       bool // older kernels have no such file
}

func settings(l instance.Limits) []setting {
	return []setting{
		{memory, memoryMax, strconv.FormatInt(l.Memory, 10), false},
		{memory, "memory.oom.group", "1", true}, // monitor, helpers and shim share one fate
		{pids, pidsMax, strconv.FormatInt(l.PIDs, 10), false},
		{cpu, cpuWeight, strconv.FormatInt(l.CPUWeight, 10), false},
	}
}

// Files that hold a limit.
const (
	memoryMax = "memory.max"
	pidsMax   = "pids.max"
	cpuWeight = "cpu.weight"
)

// Limits are what the group at dir is held to, read from the kernel; zero what is not.
func (t *Tree) Limits(dir string) instance.Limits {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(strings.TrimSpace(t.kernel.read(filepath.Join(dir, name))), 10, 64)
		return n
	}
	return instance.Limits{Memory: number(memoryMax), PIDs: number(pidsMax), CPUWeight: number(cpuWeight)}
}

// Close frees what Enter has taken; the group stays. A nil group has taken nothing.
func (g *Group) Close() {
	if g != nil && g.file != nil {
		g.file.Close()
	}
}
