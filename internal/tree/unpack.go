package tree

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"aegis/internal/fault"
)

// Options are what differs between the two ends.
type Options struct {
	// Top is the name that every entry is at or below, and that its place takes the
	// place of. "" and "." are none.
	Top string
	// Foreign says that nobody vouches for the stream: set-user-ID bits are dropped,
	// and sparse maps and links that lead out of the tree are refused.
	Foreign bool
	// Outside lets links of a Foreign stream lead out. They are never followed.
	Outside bool
	// Owner gives what is made an owner; nil: the one who makes it.
	Owner func(uid, gid int) (int, int)
}

// Target is where a stream goes: the open directory, which Unpack closes, and the
// name of the top in it, "." for the directory itself. It is asked once, when the
// first entry is known: whether that is a directory.
type Target func(dir bool) (root *os.Root, as string, err error)

// Unpack makes what a tar stream holds, and reads the stream to its end. A file is
// there whole or not at all, in place of an earlier one; what was made before an
// error stays. A directory and anything else never take each other's place. A
// stream without its end mark is cut, and an error.
func Unpack(r io.Reader, target Target, opt Options) error {
	in := &source{Reader: r}
	u := &unpacker{Options: opt, tar: tar.NewReader(in), buf: make([]byte, moveSize)}
	defer u.close()
	h, err := u.next(in)
	if err != nil {
		return u.explain(in, err)
	}
	root, as, err := target(h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	u.as = as
	u.push(level{root: root})
	for ; err == nil; h, err = u.next(in) {
		if err = u.entry(h); err != nil {
			break
		}
	}
	if err != io.EOF {
		return u.explain(in, err)
	}
	if err := u.leave(0); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// source remembers how its reader ended.
type source struct {
	io.Reader
	err error
}

// Read notes the end.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

type unpacker struct {
	Options
	tar   *tar.Reader
	as    string
	stack []level // from the target down to the directory that is being filled
	buf   []byte
}

// next is the next entry that is one. The end of the stream before its end mark is
// no end.
func (u *unpacker) next(in *source) (*tar.Header, error) {
	for {
		h, err := u.tar.Next()
		if err == io.EOF && in.err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil || h.Typeflag != tar.TypeXGlobalHeader {
			return h, err
		}
	}
}

// explain finds the cause of an error: the stream's own, if it has failed.
func (u *unpacker) explain(in *source, err error) error {
	var known *fault.Error
	switch {
	case in.err != nil && in.err != io.EOF:
		return in.err
	case errors.As(err, &known):
		return err
	case err == io.EOF:
		return refuse("", "the tar stream is empty")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse("", "the tar stream is cut short")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return refuse("", "the stream is no tar stream, or a damaged one: %w", err)
	}
	return refuse("", "%w", err)
}

// entry makes one.
func (u *unpacker) entry(h *tar.Header) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	place, err := rename(name, u.Top, u.as)
	if err != nil {
		return err
	}
	if u.Foreign && sparse(h) {
		return refuse(name, "the stream holds %q as a sparse map", name)
	}
	if place == "." {
		if h.Typeflag != tar.TypeDir {
			return refuse(name, "a directory is there, and a file can't take its place")
		}
		return nil // the target was there before: it stays as it is
	}
	if h.Typeflag == tar.TypeDir {
		return u.dir(place, h)
	}
	dir, base, err := u.enter(place)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		err = u.file(dir, base, h)
	case tar.TypeSymlink:
		err = u.symlink(dir, base, name, h)
	case tar.TypeLink:
		err = u.link(place, h)
	default:
		return refuse(name, "the stream holds %q, which is no file, directory or link (type %q)", name, h.Typeflag)
	}
	return failed(place, err)
}

// sparse reports whether an entry's size is not that of its data.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// failed names the entry that an error is about.
func failed(place string, err error) error {
	var known *fault.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader):
		return err
	case errors.Is(err, syscall.ENOSPC):
		return refuse(place, "%q does not fit: the disk is full", place)
	}
	return refuse(place, "%q: %w", place, bare(err))
}
