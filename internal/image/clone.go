package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"aegis/internal/durable"
	"aegis/internal/undo"
)

// Clone copies a blank disk to dst, which must not exist: by sharing its blocks
// where the file system can, else by copying what is not a hole. The copy is 0600
// and on the disk when Clone returns; after an error dst does not exist. A full
// disk is a fault.NoSpace.
func Clone(blank, dst string) error {
	what := fmt.Sprintf("make disk %q", dst)
	used, err := Used(blank)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := room(filepath.Dir(dst), used, what); err != nil {
		return err
	}
	if err := copySparse(blank, dst); err != nil {
		return full(err, dst, what)
	}
	if err := durable.Sync(filepath.Dir(dst)); err != nil {
		os.Remove(dst)
		return full(err, dst, what)
	}
	return nil
}

// copySparse makes dst a copy of src and syncs it, or leaves no dst.
func copySparse(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	var u undo.Stack
	defer u.Run()
	out, err := os.OpenFile(dst, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	u.Add(func() { out.Close(); os.Remove(dst) })
	if err := share(out, in); err != nil {
		if err := out.Truncate(info.Size()); err != nil {
			return err
		}
		if err := copyData(out, in, info.Size()); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return err
	}
	u.Keep()
	return nil
}

// Used is how many bytes a file takes on its disk, which for a sparse file is less
// than its size.
func Used(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("measure %q: %w", path, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size(), nil
	}
	return st.Blocks * 512, nil // stat(2): the unit is 512 bytes whatever the file system's is
}
