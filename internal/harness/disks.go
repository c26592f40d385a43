//go:build linux

package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
)

// Where the layers are mounted, in the initramfs and so outside the user's root.
const (
	baseDir = "/aegis/base"
	diskDir = "/aegis/disk"
	rootDir = "/aegis/root"
)

// findDisk waits for the block device with a serial number: its own, or the one that the
// monitor says it stands for.
func findDisk(serial string, wait time.Duration) (string, error) {
	if dev := told().disk(serial); dev != "" {
		return dev, awaitFile(dev, wait)
	}
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

// awaitFile waits for a device's file.
func awaitFile(path string, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.BootFailed, "", "", "the VM has no disk %q", path)
		}
		time.Sleep(pause)
	}
}

// memory is the disk's place in a rehearsal that has no disk.
const memory = "tmpfs"

// layers mounts the disk, or for a while memory, and the overlay of it over the base.
func layers(disk string) error {
	upper := mount{disk, diskDir, "ext4", 0, "errors=remount-ro", false}
	if disk == memory {
		upper = mount{memory, diskDir, "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755", false}
	}
	if err := mountAll([]mount{upper}); err != nil {
		return err
	}
	for _, dir := range []string{diskDir + "/upper", diskDir + "/work"} {
		if err := unix.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("prepare the disk: %w", err)
		}
	}
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", baseDir, diskDir)
	return mountAll([]mount{{"overlay", rootDir, "overlay", 0, overlay, false}})
}

// awaitSize waits until a disk has that many bytes: the kernel hears of another file
// behind it by an interrupt. Zero is any size.
func awaitSize(dev string, want int64, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; want > 0; pause = min(2*pause, 20*time.Millisecond) {
		text, err := os.ReadFile("/sys/block/" + filepath.Base(dev) + "/size")
		if err != nil {
			return fmt.Errorf("measure the disk: %w", err)
		}
		sectors, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && sectors*512 == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.BootFailed, "", "", "the disk has %s sectors of 512 bytes, not %d bytes", strings.TrimSpace(string(text)), want)
		}
		time.Sleep(pause)
	}
	return nil
}

// switchRoot moves the overlay over the initramfs, for every process there is and
// will be.
func switchRoot() error {
	err := unix.Chdir(rootDir)
	if err == nil {
		err = unix.Mount(".", "/", "", unix.MS_MOVE, "")
	}
	if err == nil {
		err = unix.Chroot(".")
	}
	if err == nil {
		err = unix.Chdir("/")
	}
	if err != nil {
		return fmt.Errorf("switch to the instance's root: %w", err)
	}
	return nil
}

// stepOut goes back to the initramfs, which outside is.
func stepOut(outside int) error {
	err := unix.Fchdir(outside)
	if err == nil {
		err = unix.Chroot(".")
	}
	if err != nil {
		return fmt.Errorf("leave the instance's root: %w", err)
	}
	return nil
}

// unmountRoot takes the instance's root apart, from outside. Detaching is not lazy
// here: no process is left that could hold anything, and that the disk is free
// afterwards is checked. The kernel then remembers nothing of the disk.
func unmountRoot(disk string) error {
	// The overlay lies over the root that we are in: ".." leads there.
	if err := unix.Unmount("/..", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the root: %w", err)
	}
	if err := unix.Unmount(diskDir, 0); err != nil {
		return fmt.Errorf("unmount %q: %w", diskDir, err)
	}
	if disk == memory {
		return nil
	}
	fd, err := unix.Open(disk, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("the disk is still in use: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("forget the disk: %w", err)
	}
	return nil
}

func syncDisks() { unix.Sync() }
