//go:build linux

package confine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
)

// NoCores keeps this process, and all that it starts, from leaving its memory in a core
// file or with whoever collects them. A limit that is 0 already stays.
func NoCores() error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil {
		return fmt.Errorf("read the limit of core files: %w", err)
	}
	most := min(coreLimit, now.Max)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("set the limit of core files: %w", err)
	}
	return nil
}

// Private keeps other processes of the same user from this one's memory: no tracing,
// no reading, no core file. A process that Prepare makes namespaces for can't be started
// by it any more where it is not root.
func Private() error {
	if err := NoCores(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make this process private: %w", err)
	}
	return nil
}

// Seal makes a shim Private, and takes from it, with all its threads and for good, every
// way to start a program or a process, and what it has no use for. Its sockets stay, and
// what it has open; on a rung with Landlock it opens what reach has and nothing else. It is
// called when the monitor and the helpers run. On an error the process is not confined,
// or half, and must end. Built with cgo it fails.
func Seal(rung Rung, reach Reach) error {
	if err := Private(); err != nil {
		return err
	}
	if err := dropButKill(); err != nil {
		return err
	}
	if rung.Landlock() {
		if err := reach.only(); err != nil {
			return err
		}
	}
	return sealed().install(true)
}

// only keeps this process from all files that are not within reach.
func (r Reach) only() error {
	var u undo.Stack
	defer u.Run()
	var grants []grant
	open := func(paths []string, access uint64) error {
		for _, path := range paths {
			fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.ENOENT) && access == readFiles {
				continue
			}
			if err != nil {
				return fmt.Errorf("open %q: %w", path, err)
			}
			u.Add(func() { unix.Close(fd) })
			grants = append(grants, grant{fd, access})
		}
		return nil
	}
	if err := errors.Join(open(r.Change, changeFiles), open(r.Read, readFiles)); err != nil {
		return err
	}
	return landlock(grants, dialer)
}
