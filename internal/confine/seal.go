//go:build linux

package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
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
// way to start a program or a process, and what it has no use for. Its sockets and files
// stay. It is called when the monitor and the helpers run. Built with cgo it fails.
func Seal() error {
	if err := Private(); err != nil {
		return err
	}
	if err := everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return sealed().install(true)
}
