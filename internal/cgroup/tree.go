package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// establish makes the home's group, with its controllers, unless it is there. Whoever
// else writes to the hierarchy may have taken either away.
func (t *Tree) establish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.has(t.Dir) {
		return nil
	}
	if !t.isTop(t.parent) {
		if err := t.vacate(); err != nil {
			return err
		}
	}
	if err := t.enable(t.parent); err != nil {
		return err
	}
	if err := t.kernel.mkdir(t.Dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.enable(t.Dir)
}

// has is whether a group gives all the controllers on.
func (t *Tree) has(dir string) bool {
	on := strings.Fields(t.kernel.read(filepath.Join(dir, control)))
	for _, c := range t.Controllers {
		if !slices.Contains(on, c) {
			return false
		}
	}
	return len(on) > 0
}

func (t *Tree) enable(dir string) error {
	if t.has(dir) {
		return nil
	}
	for _, c := range t.Controllers {
		if err := t.kernel.write(filepath.Join(dir, control), "+"+c); err != nil {
			return fmt.Errorf("enable %q for groups in %q: %w", c, dir, err)
		}
	}
	return nil
}

// leaf is the group for the daemon where it was alone in the one that is divided: a
// group that gives controllers on may hold no processes.
const leaf = "aegisd"

func (t *Tree) vacate() error {
	inside := strings.Fields(t.kernel.read(filepath.Join(t.parent, procs)))
	if len(inside) == 0 {
		return nil
	}
	dir := filepath.Join(t.parent, leaf)
	if err := t.kernel.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, pid := range inside {
		err := t.kernel.write(filepath.Join(dir, procs), pid)
		if err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
			return fmt.Errorf("move process %s to %q: %w", pid, dir, err)
		}
	}
	return nil
}

// How long a group's last process may take to end by itself, and after it was killed.
const (
	patience = 2 * time.Second
	mercy    = 8 * time.Second
)

// Remove takes away the group of a run that has ended, and waits for that: processes
// which do not end by themselves within two seconds are killed. One that is not there is no error.
func (t *Tree) Remove(dir string) error {
	began, killed := time.Now(), false
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := t.kernel.rmdir(dir)
		passed := time.Since(began)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, syscall.EBUSY), passed > patience+mercy:
			return fmt.Errorf("remove group %q: %w", dir, err)
		case passed > patience && !killed:
			t.kernel.write(filepath.Join(dir, "cgroup.kill"), "1") // from Linux 5.14 on
			killed = true
		}
		time.Sleep(pause)
	}
}

// Sweep removes the groups of runs that are not known, which a daemon that was killed
// has left, and gives what could not be removed.
func (t *Tree) Sweep(known func(run string) bool) error {
	if t.Dir == "" {
		return nil
	}
	var left error
	for _, run := range t.kernel.list(t.Dir) {
		if !known(run) {
			left = errors.Join(left, t.Remove(filepath.Join(t.Dir, run)))
		}
	}
	return left
}

// Close removes the home's group if it holds no run's.
func (t *Tree) Close() {
	if t.Dir != "" {
		t.kernel.rmdir(t.Dir)
	}
}
