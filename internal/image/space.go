package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
)

// reserve is what stays free on the host's disk whatever Aegis makes, in bytes.
const reserve = 64 << 20

// room refuses, as a fault.NoSpace, what would need more bytes than the file
// system of dir has left for its caller.
func room(dir string, need int64, what string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: statfs %q: %w", what, dir, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ by OS
	if free < need+reserve {
		return fault.New(fault.NoSpace, dir, what,
			"it needs %d MiB and the disk that holds %s has %d MiB free", (need+reserve)>>20, dir, free>>20)
	}
	return nil
}

// isFull reports whether a disk or a quota was exhausted.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
