//go:build linux

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Where the layers are mounted, in the initramfs and so outside the user's root.
const (
	baseDir = "/aegis/base"
	diskDir = "/aegis/disk"
	rootDir = "/aegis/root"
)

// findDisk waits for the block device with a virtio serial number.
func findDisk(serial string, wait time.Duration) (string, error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		files, err := filepath.Glob("/sys/block/*/serial")
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == serial {
				return "/dev/" + filepath.Base(filepath.Dir(file)), nil
			}
		}
		if time.Now().After(deadline) {
			return "", fault.New(fault.BootFailed, "", "", "the VM has no disk with serial %q", serial)
		}
		time.Sleep(pause)
	}
}

// layers mounts the base, the disk and the overlay of both, and returns the
// disk's device.
func layers(root wire.Root) (disk string, err error) {
	base, err := findDisk(root.Base, bootWait)
	if err != nil {
		return "", err
	}
	if disk, err = findDisk(root.Disk, bootWait); err != nil {
		return "", err
	}
	switch root.BaseType {
	case "ext4":
	case "erofs":
		if err := loadModules("/modules", "order.erofs"); err != nil {
			return "", err
		}
	default:
		return "", fault.New(fault.Invalid, "", "", "a base image can't be of type %.40q", root.BaseType)
	}
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", baseDir, diskDir)
	if err := mountAll([]mount{
		{base, baseDir, root.BaseType, unix.MS_RDONLY, "", false},
		{disk, diskDir, "ext4", 0, "errors=remount-ro", false},
	}); err != nil {
		return "", err
	}
	for _, dir := range []string{diskDir + "/upper", diskDir + "/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("prepare the disk: %w", err)
		}
	}
	return disk, mountAll([]mount{{"overlay", rootDir, "overlay", 0, overlay, false}})
}

// switchRoot moves the overlay over the initramfs, for every process there is
// and will be, and returns a descriptor of the initramfs.
func switchRoot() (old int, err error) {
	if old, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if err = unix.Chdir(rootDir); err == nil {
		err = unix.Mount(".", "/", "", unix.MS_MOVE, "")
	}
	if err == nil {
		err = unix.Chroot(".")
	}
	if err == nil {
		err = unix.Chdir("/")
	}
	if err != nil {
		return 0, fmt.Errorf("switch to the instance's root: %w", err)
	}
	return old, nil
}

// unmountAll goes back to the initramfs and takes the instance's root apart.
// Detaching is not lazy here: no process is left that could hold anything, and
// that the disk is free afterwards is checked.
func unmountAll(old int, disk string) error {
	if err := unix.Fchdir(old); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	// The overlay lies over the root that we are in: ".." leads there.
	if err := unix.Unmount("/..", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the root: %w", err)
	}
	for _, dir := range []string{diskDir, baseDir} {
		if err := unix.Unmount(dir, 0); err != nil {
			return fmt.Errorf("unmount %q: %w", dir, err)
		}
	}
	fd, err := unix.Open(disk, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("the disk is still in use: %w", err)
	}
	return unix.Close(fd)
}

func syncDisks() { unix.Sync() }
