//go:build linux

package fuse

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxPayload is the largest READ or WRITE, in bytes. The kernel allows 256 pages
// (FUSE_MAX_MAX_PAGES); the host's server announces the same as max_write.
const maxPayload = 1 << 20

// Open opens a device for one Mount. Until then it can't be read.
func Open() (*os.File, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}

// Mount mounts what is behind the device on target, an existing directory.
// Whatever touches target blocks until Pump carries messages.
// Set-uid bits and device nodes of the workspace mean nothing in the guest.
func Mount(dev *os.File, target string, readOnly bool) error {
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read=%d",
		dev.Fd(), maxPayload)
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("workspace", target, "fuse.aegis", flags, options); err != nil {
		return fmt.Errorf("mount workspace on %q: %w", target, err)
	}
	return nil
}
