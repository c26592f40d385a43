//go:build linux

package fuse

import (
	"errors"
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

// Mount makes a mount of what is behind the device. It is nowhere until Attach, and gone
// when it is closed before. Set-uid bits and device nodes of the workspace mean nothing
// in the guest.
func Mount(dev *os.File) (*os.File, error) {
	fd, err := mount(int(dev.Fd()))
	if err != nil {
		return nil, fmt.Errorf("mount the workspace: %w", err)
	}
	return os.NewFile(uintptr(fd), "workspace"), nil
}

func mount(dev int) (int, error) {
	fs, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, option := range [][2]string{
		{"source", "workspace"}, {"subtype", "aegis"}, {"fd", fmt.Sprint(dev)}, {"rootmode", "40000"},
		{"user_id", "0"}, {"group_id", "0"}, {"max_read", fmt.Sprint(maxPayload)},
	} {
		err = errors.Join(err, unix.FsconfigSetString(fs, option[0], option[1]))
	}
	for _, flag := range []string{"default_permissions", "allow_other"} {
		err = errors.Join(err, unix.FsconfigSetFlag(fs, flag))
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}

// Attach puts a mount on target, an existing directory. Whatever touches target blocks
// until Pump carries messages.
func Attach(mount *os.File, target string, readOnly bool) error {
	fd := int(mount.Fd())
	if readOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return fmt.Errorf("make the workspace read-only: %w", err)
		}
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount the workspace on %q: %w", target, err)
	}
	return nil
}
