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

// Mount mounts an empty connection on target, an existing directory, and returns
// its device. Whatever touches target blocks until Pump carries messages.
// Set-uid bits and device nodes of the workspace mean nothing in the guest.
func Mount(target string, readOnly bool) (*os.File, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read=%d",
		fd, maxPayload)
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("workspace", target, "fuse.aegis", flags, options); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mount workspace on %q: %w", target, err)
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}
