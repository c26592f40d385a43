package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

// maxLinks bounds how many files with several names are remembered; names beyond
// that are copied as files of their own.
const maxLinks = 1 << 18

// Pack writes an entry of root, or with "." all of it, as a tar stream whose top is
// named as. Devices, pipes and sockets are left out and counted. An entry that goes
// away meanwhile was never there; a file that becomes shorter is an error.
func Pack(w io.Writer, root *os.Root, name, as string) (left int, err error) {
	p := &packer{tar: tar.NewWriter(w), names: map[inode]string{}, buf: make([]byte, moveSize)}
	info, err := root.Lstat(name)
	if err != nil {
		return 0, missing(as, err)
	}
	if err := p.add(root, name, as, info, 0); err != nil {
		return 0, err
	}
	if err := p.tar.Close(); err != nil {
		return 0, err
	}
	return p.left, nil
}

type packer struct {
	tar   *tar.Writer
	names map[inode]string // of files with several names: the first one
	left  int
	buf   []byte
}

// inode is a file, whatever its names.
type inode struct{ dev, ino uint64 }

// add writes one entry and what is below it. device is that of the directory
// that it is in; 0 at the top.
func (p *packer) add(root *os.Root, name, as string, info fs.FileInfo, device uint64) error {
	if len(as) > maxPath {
		return refuse(as[:60], "a path that begins with %q has %d bytes, and at most %d can be copied", as[:60], len(as), maxPath)
	}
	switch info.Mode().Type() {
	case 0:
		return p.file(root, name, as)
	case fs.ModeDir:
		return p.dir(root, name, as, info, device)
	case fs.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return vanished(as, err)
		}
		h, _ := header(info, as)
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return p.tar.WriteHeader(h)
	}
	p.left++
	return nil
}

// vanished is nil for what is there no more.
func vanished(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return missing(name, err)
}

// dir writes a directory, its entries in the order of their names.
func (p *packer) dir(root *os.Root, name, as string, info fs.FileInfo, device uint64) error {
	if depth(as) > maxDepth {
		return refuse(as[:min(len(as), 60)], "the directory is more than %d deep", maxDepth)
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return vanished(as, err)
	}
	defer sub.Close()
	h, id := header(info, as+"/")
	h.Typeflag = tar.TypeDir
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	names, err := p.list(sub, as, id.dev != device)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := path.Join(as, name)
		info, err := sub.Lstat(name)
		if err == nil {
			err = p.add(sub, name, below, info, id.dev)
		} else {
			err = vanished(below, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list names what is in a directory. The kernel's own file systems, which are no
// files, count as empty, and can't be what is copied.
func (p *packer) list(sub *os.Root, as string, mount bool) ([]string, error) {
	f, err := sub.Open(".")
	if err != nil {
		return nil, missing(as, err)
	}
	defer f.Close()
	if mount && pseudo(f) {
		return nil, nil
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, missing(as, err)
	}
	slices.Sort(names)
	return names, nil
}

// file writes a regular file, or a hard link to one that was written.
func (p *packer) file(root *os.Root, name, as string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0) // it may be a pipe by now
	if err != nil {
		return vanished(as, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return missing(as, err)
	}
	if !info.Mode().IsRegular() {
		return refuse(as, "%q changed while it was copied", as)
	}
	h, id := header(info, as)
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if several(info) {
		if first, ok := p.names[id]; ok {
			h.Typeflag, h.Size, h.Linkname = tar.TypeLink, 0, first
			return p.tar.WriteHeader(h)
		}
		if len(p.names) < maxLinks {
			p.names[id] = as
		}
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.content(f, as, h.Size)
}

// content copies just size bytes. What a hole holds is not read.
func (p *packer) content(f *os.File, as string, size int64) error {
	at := skipHole(f, 0)
	if err := p.zeros(min(at, size)); err != nil {
		return err
	}
	for at < size {
		n, err := f.ReadAt(p.buf[:min(size-at, moveSize)], at)
		if _, err := p.tar.Write(p.buf[:n]); err != nil {
			return err
		}
		at += int64(n)
		if err == io.EOF && at < size {
			return refuse(as, "%q became shorter while it was copied", as)
		}
		if err != nil && err != io.EOF {
			return missing(as, err)
		}
		if tail := p.buf[max(0, n-blockSize):n]; at < size && bytes.Equal(tail, zeros[:len(tail)]) {
			data := min(skipHole(f, at), size)
			if err := p.zeros(data - at); err != nil {
				return err
			}
			at = data
		}
	}
	return nil
}

// zeros stands for a hole.
func (p *packer) zeros(n int64) error {
	for n > 0 {
		part := min(n, blockSize)
		if _, err := p.tar.Write(zeros[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
