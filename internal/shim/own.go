package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// own takes an instance's disk for one VM (flock(2)). The lock belongs to the open
// file, which the monitor inherits, so it is free again when this process and its
// monitor have both ended: a monitor that is still dying is waited for, and no two
// VMs ever write to one disk.
func own(ctx context.Context, disk *os.File) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Flock(int(disk.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock the disk: %w", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.New("another virtual machine has the instance's disk")
		}
	}
}
