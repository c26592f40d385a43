//go:build linux

package fuse

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// readAheadKB is one largest READ.
const readAheadKB = maxPayload >> 10

// ReadAhead sets how far the kernel reads ahead on the mounted target. Pump must
// be running: the call waits for the host's answer to INIT, since that answer
// would put the value back to the kernel's 128 KiB. It needs /sys; without it
// the workspace is slower and otherwise the same.
func ReadAhead(target string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		return fmt.Errorf("wait for workspace %q: %w", target, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(target, &st); err != nil {
		return fmt.Errorf("stat workspace %q: %w", target, err)
	}
	name := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
	if err := os.WriteFile(name, fmt.Appendln(nil, readAheadKB), 0); err != nil {
		return fmt.Errorf("set read-ahead: %w", err)
	}
	return nil
}
