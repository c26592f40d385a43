package monitor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// guard waits for the end of owner, which has started it, and then ends pid (kqueue(2),
// EVFILT_PROC with NOTE_EXIT). It returns too when pid has ended by itself.
func guard(owner, pid int) error {
	queue, err := unix.Kqueue()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", owner, err)
	}
	defer unix.Close(queue)
	for _, who := range []int{pid, owner} {
		var change unix.Kevent_t
		unix.SetKevent(&change, who, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
		change.Fflags = unix.NOTE_EXIT
		_, err := unix.Kevent(queue, []unix.Kevent_t{change}, nil, nil)
		if errors.Is(err, unix.ESRCH) {
			return end(who == owner, pid)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("wait for process %d: %w", who, err), end(true, pid))
		}
	}
	if os.Getppid() != owner { // it ended before it was watched
		return end(true, pid)
	}
	events := make([]unix.Kevent_t, 1)
	for {
		n, err := unix.Kevent(queue, nil, events, nil)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && n == 0:
		case err != nil:
			return errors.Join(fmt.Errorf("wait for process %d: %w", owner, err), end(true, pid))
		default:
			return end(int(events[0].Ident) == owner, pid)
		}
	}
}

// end kills pid, if it must.
func end(must bool, pid int) error {
	if !must {
		return nil
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	return nil
}
