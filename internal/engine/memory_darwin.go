package engine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// hostAvailable is not known here: no backend of this system has templates.
func hostAvailable() (int64, error) { return 0, errors.ErrUnsupported }

// hostMemory is this machine's memory in bytes (sysctl(3), hw.memsize).
func hostMemory() (int64, error) {
	size, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0, fmt.Errorf("read the machine's memory: %w", err)
	}
	return int64(size), nil
}
