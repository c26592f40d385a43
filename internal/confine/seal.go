//go:build linux

package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Private keeps other processes of the same user from this one's memory: no tracing,
// no reading, no core file.
func Private() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make this process private: %w", err)
	}
	return nil
}

// Seal takes from a shim, with all its threads and for good, every way to start a
// program or a process, and what it has no use for. Its sockets and files stay. It is
// called when the monitor and the helpers run.
func Seal() error {
	if err := Private(); err != nil {
		return err
	}
	if err := everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return sealed().install(true)
}
