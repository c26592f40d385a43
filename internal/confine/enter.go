//go:build linux

package confine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
)

// Room is what a helper keeps.
type Room struct {
	Calls    Calls
	Dir      *os.File // the one directory that it serves; nil: it has none
	ReadOnly bool
	Detached bool // Dir is a mount of its own already, made by Detach
}

// Kept is the way to what is left. The caller closes both; they are nil without a Dir.
type Kept struct {
	Dir  *os.File // the room's directory
	Proc *os.File // this process's /proc/self/fd, and nothing else of /proc
}

// place is where the new root has the directory.
const place = "workspace"

// Detach is for a shim that is root: it gives its helper, who may not go to where the
// directory is, a mount of it.
func Detach(dir *os.File, readOnly bool) (*os.File, error) {
	return detachOpen(int(dir.Fd()), attributes(readOnly, false))
}

// Enter confines this process with all its threads, for good. It was started by a
// command that Prepare has seen, with the same rung. On an error the process is not
// confined, or half, and must end. Built with cgo it fails.
func Enter(rung Rung, room Room) (Kept, error) {
	if !rung.On() {
		return Kept{Dir: room.Dir}, nil
	}
	kept, err := enter(rung, room, refuse(unix.EPERM))
	if err != nil {
		return Kept{}, fmt.Errorf("confine this process (%s): %w", rung, err)
	}
	return kept, nil
}

func enter(rung Rung, room Room, rest uint32) (Kept, error) {
	var u undo.Stack
	defer u.Run()
	if err := limit(rung); err != nil {
		return Kept{}, err
	}
	var kept Kept
	var err error
	if room.Dir != nil {
		if kept.Proc, err = ownDescriptors(rung); err != nil {
			return Kept{}, in(stepMount, err)
		}
		u.Add(func() { kept.Proc.Close() })
	}
	if rung.Namespaces() {
		kept.Dir, err = room.pivot()
	} else if room.Dir != nil {
		kept.Dir, err = again(room.Dir)
	}
	if err != nil {
		return Kept{}, in(stepMount, err)
	}
	if err := Private(); err != nil {
		return Kept{}, err
	}
	if err := drop(everywhere); err != nil {
		return Kept{}, err
	}
	if rung.Landlock() {
		if err := landlock(room.grants(kept.Dir), process); err != nil {
			return Kept{}, in(stepLandlock, err)
		}
	}
	if err := room.Calls.allow(rung, rest).install(true); err != nil {
		return Kept{}, err
	}
	u.Keep()
	return kept, nil
}

// ownDescriptors is /proc/self/fd as a mount of its own, so that no way leads from it
// to the rest of /proc; without namespaces it can't be one.
func ownDescriptors(rung Rung) (*os.File, error) {
	const name = "/proc/self/fd"
	if rung.Namespaces() {
		return detach(name, attributes(false, false))
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// pivot enters a root that holds the room's directory and nothing else.
func (r Room) pivot() (*os.File, error) {
	if r.Dir == nil {
		return nil, enterRoot(nil)
	}
	tree := r.Dir
	if !r.Detached {
		var err error
		if tree, err = detachOpen(int(r.Dir.Fd()), attributes(r.ReadOnly, false)); err != nil {
			return nil, err
		}
		defer tree.Close()
	}
	if err := enterRoot([]mount{{tree, place}}); err != nil {
		return nil, err
	}
	dir, err := os.Open("/" + place)
	return dir, errors.Join(err, r.Dir.Close()) // the outer way to it goes
}

func again(dir *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keep %q: %w", dir.Name(), err)
	}
	return os.NewFile(uintptr(fd), dir.Name()), dir.Close()
}

func (r Room) grants(dir *os.File) []grant {
	switch {
	case dir == nil:
		return nil
	case r.ReadOnly:
		return []grant{{int(dir.Fd()), readFiles}}
	}
	return []grant{{int(dir.Fd()), changeFiles}}
}
