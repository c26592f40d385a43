//go:build linux

package confine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
)

// mount is one thing that a new root holds: a directory, or a file.
type mount struct {
	tree *os.File // as detach makes it
	at   string   // where in the new root, without a slash before it
}

// attributes are what every mount of ours has; run is for programs and libraries.
func attributes(readOnly, run bool) uint64 {
	attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if !run {
		attr |= unix.MOUNT_ATTR_NOEXEC
	}
	if readOnly {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	return attr
}

// detach makes a mount of its own from what is at path, with all that is mounted below:
// a less privileged namespace may not take that away.
func detach(path string, attr uint64) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("take %q as a mount: %w", path, err)
	}
	tree := os.NewFile(uintptr(fd), path)
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr}); err != nil {
		tree.Close()
		return nil, fmt.Errorf("restrict the mount of %q: %w", path, err)
	}
	return tree, nil
}

// detachOpen is detach of an open file or directory, found again by its path: its mount
// belongs to another namespace. It is the same inode or an error.
func detachOpen(fd int, attr uint64) (*os.File, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, err
	}
	tree, err := detach(path, attr)
	if err != nil {
		return nil, err
	}
	var want, got unix.Stat_t
	if unix.Fstat(fd, &want) != nil || unix.Fstat(int(tree.Fd()), &got) != nil || want.Dev != got.Dev || want.Ino != got.Ino {
		tree.Close()
		return nil, fmt.Errorf("take %q as a mount: something else is there now", path)
	}
	return tree, nil
}

// enterRoot makes the mounts, and nothing else, all that the process can see.
func enterRoot(mounts []mount) error {
	var u undo.Stack
	defer u.Run()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	root, err := empty()
	if err != nil {
		return err
	}
	u.Add(func() { unix.Close(root) })
	// Any directory does: it is only the place from which the root is changed.
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount the new root: %w", err)
	}
	for _, m := range mounts {
		if err := m.put(root); err != nil {
			return err
		}
	}
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root is now over the new one
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: attributes(true, false)}))
}

// empty is a file system of no files, and little room.
func empty() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make a root: %w", err)
	}
	defer unix.Close(fs)
	for key, value := range map[string]string{"size": "64k", "nr_inodes": "256", "mode": "0755"} {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return -1, fmt.Errorf("make a root with %s=%s: %w", key, value, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("make a root: %w", err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(attributes(false, false)))
	if err != nil {
		return -1, fmt.Errorf("mount a root: %w", err)
	}
	return root, nil
}

// put mounts m in the root that is open as a directory.
func (m mount) put(root int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(m.tree.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	for dir := range parents(m.at) {
		if err := unix.Mkdirat(root, dir, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("make %q in the new root: %w", dir, err)
		}
	}
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = unix.Mkdirat(root, m.at, 0o755)
	} else {
		err = unix.Mknodat(root, m.at, unix.S_IFREG|0o444, 0)
	}
	if err != nil && err != unix.EEXIST {
		return fmt.Errorf("make %q in the new root: %w", m.at, err)
	}
	if err := unix.MoveMount(int(m.tree.Fd()), "", root, m.at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %q in the new root: %w", m.at, err)
	}
	return nil
}

// parents yields the directories above a relative path, the outermost first.
func parents(path string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range path {
			if path[i] == filepath.Separator && !yield(path[:i]) {
				return
			}
		}
	}
}
