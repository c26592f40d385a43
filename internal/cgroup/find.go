package cgroup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Tree is the part of the hierarchy that holds the groups of one home's runs.
type Tree struct {
	Dir         string   // the home's group; empty where nothing can be limited
	Controllers []string // those that limit here, of Controllers
	Cause       string   // why not all do, a sentence; empty when all do
	Fix         string   // the command that mends it, if one does

	parent string
	kernel kernel
	mu     sync.Mutex // while the home's group is made
}

// Look finds where the groups of a home would be, and changes nothing. home is its
// directory.
func Look(home string) *Tree { return look(files{}, home, readProc("mountinfo"), readProc("cgroup")) }

// Find is Look, and makes the home's group. try is called with a group in it, to see
// that a process can begin there.
func Find(home string, try func(*Group) error) *Tree {
	t := Look(home)
	t.open(try)
	return t
}

// readProc is a file of this process's, or nothing where there is no such file.
func readProc(name string) string {
	body, _ := os.ReadFile("/proc/self/" + name)
	return string(body)
}

func look(k kernel, home, mounts, groups string) *Tree {
	sum := sha256.Sum256([]byte(home))
	t := &Tree{kernel: k}
	top, own := locate(mounts, groups)
	if own == "" {
		t.Cause, t.Fix = "no cgroup v2 is mounted that this process is in", unified
		return t
	}
	place, offer, lack := t.place(top, own)
	if place == "" {
		t.Cause, t.Fix = lack.explain(own)
		return t
	}
	t.parent, t.Dir = place, filepath.Join(place, "aegis-"+hex.EncodeToString(sum[:4]))
	t.offered(offer)
	return t
}

// offered says what limits, and what is missing.
func (t *Tree) offered(offer []string) {
	t.Controllers = offer
	var missing []string
	for _, c := range Controllers {
		if !slices.Contains(offer, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		t.Cause, t.Fix = fmt.Sprintf("%s has no controller for %s", t.parent, strings.Join(missing, ", ")), delegate
	}
}

// place is the group in which the home's is made: from our own upward the first that
// offers all, or else the first that offers some. Without one it is why not.
func (t *Tree) place(top, own string) (place string, offer []string, lack lack) {
	for dir := own; ; dir = filepath.Dir(dir) {
		can, why := t.usable(dir)
		lack = max(lack, why)
		if len(can) > len(offer) {
			place, offer = dir, can
		}
		if dir == top || len(offer) == len(Controllers) {
			return place, offer, lack
		}
	}
}

// usable is which of the controllers a group could give to groups below it, or why none.
func (t *Tree) usable(dir string) ([]string, lack) {
	for _, name := range []string{".", procs, control} {
		if !t.kernel.writable(filepath.Join(dir, name)) {
			return nil, foreign
		}
	}
	var can []string
	has := strings.Fields(t.kernel.read(filepath.Join(dir, "cgroup.controllers")))
	for _, c := range Controllers {
		if slices.Contains(has, c) {
			can = append(can, c)
		}
	}
	switch {
	case len(can) == 0:
		return nil, bare
	case !t.isTop(dir) && !t.only(dir):
		return nil, shared
	}
	return can, none
}

// isTop is whether dir is the root of all groups, which alone may give controllers on
// and hold processes.
func (t *Tree) isTop(dir string) bool { return !t.kernel.exists(filepath.Join(dir, "cgroup.type")) }

// only is whether a group holds no processes but those that may be moved.
func (t *Tree) only(dir string) bool {
	for pid := range strings.FieldsSeq(t.kernel.read(filepath.Join(dir, procs))) {
		if !t.kernel.ours(pid) {
			return false
		}
	}
	return true
}

// open makes the home's group, and sees whether a process can begin in one below it.
func (t *Tree) open(try func(*Group) error) {
	if t.Dir == "" {
		return
	}
	err := t.establish()
	if err == nil {
		err = t.attempt(try)
	}
	if err != nil {
		t.kernel.rmdir(t.Dir)
		t.Cause, t.Fix = fmt.Sprintf("a group below %s can't be used: %v", t.parent, err), scope()
		t.Dir, t.Controllers = "", nil
	}
}

func (t *Tree) attempt(try func(*Group) error) error {
	g, err := t.Make("probe", For(1, 0))
	if err != nil {
		return err
	}
	defer g.Close()
	return errors.Join(try(g), t.Remove(g.Dir))
}
