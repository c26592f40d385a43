package tree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setLinkTime sets the time of a symbolic link itself. A file system that can't do
// that is no reason to fail.
func setLinkTime(dir *os.Root, name string, at time.Time) {
	if at.IsZero() {
		return
	}
	f, err := dir.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(at.UnixNano())}
	unix.UtimesNanoAt(int(f.Fd()), name, ts, unix.AT_SYMLINK_NOFOLLOW)
}
