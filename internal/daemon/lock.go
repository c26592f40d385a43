package daemon

import (
	"fmt"
	"os"

	"aegis/internal/fault"
	"aegis/internal/paths"

	"golang.org/x/sys/unix"
)

// lock makes this the one daemon of its home. The file holds the PID, for a person.
func lock(home paths.Home) (unlock func(), err error) {
	f, err := os.OpenFile(home.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(fault.Internal, home.Dir, "take "+home.Dir, "%w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.New(fault.WrongState, home.Dir, "start the daemon", "another one runs for %s", home.Dir)
	}
	f.Truncate(0)
	fmt.Fprintf(f, "%d\n", os.Getpid())
	return func() { f.Close() }, nil
}
