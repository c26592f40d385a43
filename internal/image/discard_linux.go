package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// discard removes a tree of unfinished work. A build as root that was killed leaves the
// host's own /dev/shm, /proc and /sys mounted in its tree: what is mounted there is
// detached first, and if that can't be, nothing is removed.
func discard(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return os.RemoveAll(dir)
	}
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts below %q: %w", dir, err)
	}
	points := mountsBelow(string(text), real)
	for _, point := range slices.Backward(points) { // the last mounted lies over the others
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %q: %w", point, err)
		}
	}
	return os.RemoveAll(dir)
}

// unescape reads what mountinfo (proc(5)) writes for characters that would end a field.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mountsBelow are the mount points below a directory, in the order of their mounting.
func mountsBelow(mountinfo, dir string) (points []string) {
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 {
			if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	return points
}
