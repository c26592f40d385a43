package tree

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// level is a directory that is being filled. Its mode and time are set when the
// stream has left it: only then can no entry change them, or be kept out by them.
type level struct {
	name string // in the level above
	root *os.Root
	meta *tar.Header // nil: they stay
}

func (u *unpacker) push(l level) { u.stack = append(u.stack, l) }

// close gives up what is open.
func (u *unpacker) close() {
	for _, l := range u.stack {
		l.root.Close()
	}
	u.stack = nil
}

// leave finishes every directory below the first keep of them and the target.
func (u *unpacker) leave(keep int) error {
	for len(u.stack) > keep+1 {
		l := u.stack[len(u.stack)-1]
		u.stack = u.stack[:len(u.stack)-1]
		l.root.Close()
		if l.meta == nil {
			continue
		}
		above := u.stack[len(u.stack)-1].root
		err := above.Chmod(l.name, modeOf(l.meta, !u.Foreign))
		if err == nil {
			err = above.Chtimes(l.name, timeOf(l.meta), timeOf(l.meta))
		}
		if err != nil {
			return failed(u.at(l.name), err)
		}
	}
	return nil
}

// enter opens the directory that an entry is in, and makes it when it is missing.
// Nothing on the way may be a link.
func (u *unpacker) enter(place string) (*os.Root, string, error) {
	dir, base := path.Split(place)
	var parts []string
	if dir != "" {
		parts = strings.Split(strings.TrimSuffix(dir, "/"), "/")
	}
	common := 0
	for common < len(parts) && common+1 < len(u.stack) && u.stack[common+1].name == parts[common] {
		common++
	}
	if err := u.leave(common); err != nil {
		return nil, "", err
	}
	for _, part := range parts[common:] {
		if err := u.descend(part, nil); err != nil {
			return nil, "", err
		}
	}
	return u.top(), base, nil
}

// at is the place of an entry of the directory that is being filled.
func (u *unpacker) at(name string) string {
	place := ""
	for _, l := range u.stack {
		place = path.Join(place, l.name)
	}
	return path.Join(place, name)
}

func (u *unpacker) top() *os.Root { return u.stack[len(u.stack)-1].root }

// dir makes a directory, or takes the one that is there.
func (u *unpacker) dir(place string, h *tar.Header) error {
	_, base, err := u.enter(place)
	if err != nil {
		return err
	}
	return failed(place, u.descend(base, h))
}

// descend opens a directory of the one that is being filled.
func (u *unpacker) descend(name string, meta *tar.Header) error {
	above := u.top()
	info, err := above.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if meta == nil { // the stream has not said how it should be
			meta = &tar.Header{Mode: 0o755}
		}
		if err := above.Mkdir(name, 0o700); err != nil {
			return failed(u.at(name), err)
		}
		if err := u.own(above, name, meta); err != nil {
			return failed(u.at(name), err)
		}
	case err != nil:
		return failed(u.at(name), err)
	case !info.IsDir():
		return refuse(u.at(name), "%q is %s, and a directory can't take its place", u.at(name), kind(info))
	case meta != nil && info.Mode().Perm()&0o700 != 0o700: // until it is left
		above.Chmod(name, info.Mode().Perm()|0o700)
	}
	root, err := above.OpenRoot(name)
	if err != nil {
		return failed(u.at(name), err)
	}
	u.push(level{name: name, root: root, meta: meta})
	return nil
}

// own gives what was made its owner.
func (u *unpacker) own(dir *os.Root, name string, h *tar.Header) error {
	if u.Owner == nil {
		return nil
	}
	uid, gid := u.Owner(h.Uid, h.Gid)
	return dir.Lchown(name, uid, gid)
}

// kind names what is in the way.
func kind(info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return "a file"
	case mode.IsDir():
		return "a directory"
	case mode.Type() == fs.ModeSymlink:
		return "a symbolic link"
	}
	return "a device, a pipe or a socket"
}
