package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

// Limits of a writable disk, in bytes: below, its journal and tables leave no room;
// above, ext4 itself ends.
const (
	MinDisk = 64 << 20
	MaxDisk = 16 << 40
)

// blankFormat is part of a blank disk's name, and is raised when mkfs's options change.
const blankFormat = 1

// blankSpace is more than the tables and the journal of a disk take, in bytes,
// while mkfs has them written or reserved, for each 1 TiB and part of it.
const blankSpace = 32 << 20

// Blank returns the file of a formatted, empty ext4 file system of this many bytes,
// rounded down to 4096, in dir, and makes it first where it is missing or cut
// short. It is sparse and never written again: Clone it. Several processes may
// call Blank at once. A size out of the limits is a fault.Invalid, a disk too full
// a fault.NoSpace, a missing mkfs.ext4 a fault.AssetMissing.
func Blank(ctx context.Context, dir string, size int64) (string, error) {
	if size < MinDisk || size > MaxDisk {
		return "", fault.New(fault.Invalid, "disk", "make disk", "%d bytes are not between %d MiB and %d TiB", size, MinDisk>>20, MaxDisk>>40)
	}
	size &^= 4095
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make disk: %w", err)
	}
	path := filepath.Join(dir, blankName(size))
	if ready(path, size) {
		return path, nil
	}
	unlock, err := lock(ctx, dir, nil)
	if err != nil {
		return "", fmt.Errorf("make disk: %w", err)
	}
	defer unlock()
	if ready(path, size) {
		return path, nil
	}
	if err := room(dir, blankSpace*(size>>40+1), "make disk"); err != nil {
		return "", err
	}
	return path, full(format(ctx, path, size), dir, "make disk")
}

// ready reports whether a blank disk is there and whole.
func ready(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// format makes a file system beside path and puts its sparse copy there: mkfs
// reserves the blocks of its empty tables, and the copy drops them.
func format(ctx context.Context, path string, size int64) error {
	raw, sparse := path+".mkfs", path+".new"
	for _, old := range []string{raw, sparse, path} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var u undo.Stack
	defer u.Run()
	f, err := os.OpenFile(raw, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	u.Add(func() { os.Remove(raw) })
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	if err := mkfs(ctx, raw); err != nil {
		return err
	}
	if err := copySparse(raw, sparse); err != nil {
		return err
	}
	u.Add(func() { os.Remove(sparse) })
	if err := os.Rename(sparse, path); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(path))
}

// mkfs formats a file for a guest that mounts it at once: nothing is left for the
// kernel to initialise in the background (the lazy options), nothing is reserved
// for root, who is the usual user, and the journal is small, since every wake
// after a crash reads it.
func mkfs(ctx context.Context, path string) error {
	program, err := lookSbin("mkfs.ext4")
	if err != nil {
		return fault.New(fault.AssetMissing, "mkfs.ext4", "make disk", "mkfs.ext4 is not installed; run: sudo apt-get install e2fsprogs")
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-m", "0", "-b", "4096", "-J", "size=16",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0", path)
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C"}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("format %q: %w: %s", path, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// lookSbin finds a program that an ordinary user's PATH may not reach.
func lookSbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}
