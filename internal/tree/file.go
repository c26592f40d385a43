package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strconv"

	"aegis/internal/fault"
	"aegis/internal/undo"
)

// fresh is a name that no file has, for one that is being made. It need not be
// secret: a file that has it all the same is an error.
func fresh() string { return ".aegis-" + strconv.FormatUint(rand.Uint64(), 36) }

// free refuses a place that a file or link can't take.
func (u *unpacker) free(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular(), info.Mode().Type() == fs.ModeSymlink:
		return nil
	}
	return refuse(u.at(name), "%q is %s, and a file can't take its place", u.at(name), kind(info))
}

// file makes a regular file under another name, and puts it in its place when it
// is whole.
func (u *unpacker) file(dir *os.Root, name string, h *tar.Header) error {
	if err := u.free(dir, name); err != nil {
		return err
	}
	var undoing undo.Stack
	defer undoing.Run()
	making := fresh()
	f, err := dir.OpenFile(making, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	undoing.Add(func() { f.Close(); dir.Remove(making) })
	if err := u.fill(f, h.Size); err != nil {
		return err
	}
	if u.Owner != nil {
		if err := f.Chown(u.Owner(h.Uid, h.Gid)); err != nil {
			return err
		}
	}
	if err := f.Chmod(modeOf(h, !u.Foreign)); err != nil { // behind chown, which clears bits
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := dir.Chtimes(making, timeOf(h), timeOf(h)); err != nil {
		return err
	}
	if err := dir.Rename(making, name); err != nil {
		return err
	}
	undoing.Keep()
	return nil
}

// fill writes what the entry holds; blocks of zeros become holes.
func (u *unpacker) fill(f *os.File, size int64) error {
	for at := int64(0); at < size; {
		part := u.buf[:min(size-at, moveSize)]
		if _, err := io.ReadFull(u.tar, part); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := writeData(f, part, at); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return f.Truncate(size)
}

var zeros [blockSize]byte

// writeData writes the blocks that are not all zeros, as many at once as there are.
func writeData(f *os.File, part []byte, at int64) error {
	begin := 0 // of blocks that are to be written
	for i := 0; i < len(part); i += blockSize {
		end := min(i+blockSize, len(part))
		if !bytes.Equal(part[i:end], zeros[:end-i]) {
			continue
		}
		if _, err := f.WriteAt(part[begin:i], at+int64(begin)); err != nil {
			return err
		}
		begin = end
	}
	_, err := f.WriteAt(part[begin:], at+int64(begin))
	return err
}

// symlink makes a symbolic link. name is its own in the stream.
func (u *unpacker) symlink(dir *os.Root, base, name string, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) > maxPath {
		return refuse(name, "the link %q in the stream leads nowhere", name)
	}
	below := name
	if u.Top != "" && u.Top != "." && len(name) > len(u.Top) {
		below = name[len(u.Top)+1:]
	}
	if u.Foreign && !u.Outside && leads(below, h.Linkname) {
		return &fault.Error{Kind: fault.File, Subject: name, Cause: ErrOutside,
			Why: fmt.Sprintf("the link %q may lead out of what is copied, to %q", name, h.Linkname[:min(len(h.Linkname), 100)])}
	}
	return u.swap(dir, base, func(making string) error {
		if err := dir.Symlink(h.Linkname, making); err != nil {
			return err
		}
		if err := u.own(dir, making, h); err != nil {
			dir.Remove(making)
			return err
		}
		setLinkTime(dir, making, timeOf(h))
		return nil
	})
}

// link makes a hard link to a file of the same stream's place.
func (u *unpacker) link(place string, h *tar.Header) error {
	target, err := clean(h.Linkname)
	if err != nil {
		return err
	}
	if target, err = rename(target, u.Top, u.as); err != nil {
		return err
	}
	base := u.stack[0].root
	info, err := base.Lstat(target)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return refuse(place, "the stream links %q to %q, which is %s", place, target, kind(info))
	}
	if target == place {
		return nil
	}
	dir, name := u.top(), path.Base(place)
	return u.swap(dir, name, func(making string) error {
		return base.Link(target, path.Join(path.Dir(place), making))
	})
}

// swap makes something under another name and puts it in its place.
func (u *unpacker) swap(dir *os.Root, name string, make func(making string) error) error {
	if err := u.free(dir, name); err != nil {
		return err
	}
	making := fresh()
	if err := make(making); err != nil {
		return err
	}
	defer dir.Remove(making) // what a rename onto the same file leaves (rename(2)), or a failed one
	return dir.Rename(making, name)
}
