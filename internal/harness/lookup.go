//go:build linux

package harness

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
)

// walk opens a path of the instance's root, every link in it followed but those
// below /proc that are none: they would lead out of the root, to the harness's own
// files (openat2(2)).
func walk(path string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// look is a tree.Look.
func look(path string) (real string, dir bool, err error) {
	f, err := walk(path, unix.O_PATH)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	if real, err = os.Readlink(fdName(f)); err != nil {
		return "", false, err
	}
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	return real, info.IsDir(), nil
}

// openRoot opens a directory that look has found.
func openRoot(dir string) (*os.Root, error) {
	f, err := walk(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, fault.New(fault.File, dir, "", "%w", err)
	}
	defer f.Close()
	return os.OpenRoot(fdName(f))
}

func fdName(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
