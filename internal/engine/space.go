package engine

import (
	"fmt"

	"aegis/internal/config"
	"aegis/internal/fault"

	"golang.org/x/sys/unix"
)

// Reserve is the free space below which no start is attempted: what a guest's first
// writes, its log and the registry need so that nothing is cut short. Bytes.
const Reserve = 256 << 20

// checkSpace refuses a start on a disk that is nearly full.
func checkSpace(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at the free space of %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < Reserve {
		left, least := config.HumanSizes(free, Reserve)
		return fault.New(fault.NoSpace, dir, "", "the disk that holds %s has %s left and a start needs %s", dir, left, least)
	}
	return nil
}
