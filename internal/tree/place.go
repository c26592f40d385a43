package tree

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Path is a path as a user gave it. The three ways to write a directory, "dir",
// "dir/" and "dir/.", mean different things to a copy.
type Path struct {
	Clean    string // absolute, without "." and ".."
	Dir      bool   // "dir/": it must be a directory, and a link to one is followed
	Contents bool   // "dir/.": what is in it, and not the directory itself
}

// Parse reads a path; a relative one begins at base.
func Parse(text, base string) Path {
	p := Path{Clean: text}
	if !path.IsAbs(text) {
		p.Clean = path.Join(base, text)
	}
	p.Clean = path.Clean(p.Clean)
	p.Contents = text == "." || strings.HasSuffix(text, "/.") || p.Clean == "/"
	p.Dir = p.Contents || strings.HasSuffix(text, "/")
	return p
}

// Top is the name that the one entry at the top of this path's stream has: "." when
// it is the contents of a directory.
func (p Path) Top() string {
	if p.Contents {
		return "."
	}
	return path.Base(p.Clean)
}

// Look resolves a path, every link in it followed: where it really is, and whether
// it is a directory. What is not there is fs.ErrNotExist.
type Look func(path string) (real string, dir bool, err error)

// Pick finds what to copy: an entry of a directory, or "." for all of it. With
// follow, a link at the end of the path is followed.
func Pick(p Path, follow bool, look Look) (dir, name string, err error) {
	if !p.Dir && !follow {
		if dir, err = parent(p, look); err != nil {
			return "", "", err
		}
		return dir, path.Base(p.Clean), nil
	}
	real, isDir, err := look(p.Clean)
	switch {
	case err != nil:
		return "", "", missing(p.Clean, err)
	case p.Dir && !isDir:
		return "", "", refuse(p.Clean, "%q is not a directory", p.Clean)
	case p.Contents || real == "/":
		return real, ".", nil
	}
	return path.Dir(real), path.Base(real), nil
}

// Place finds where a copy goes: the directory to open, and the name of the top in
// it, "." for the directory itself. dir says whether the top is a directory. The
// top "" is a stream of any entries, and goes into a directory that is there.
func Place(p Path, top string, dir bool, look Look) (into, as string, err error) {
	real, isDir, err := look(p.Clean)
	switch {
	case err == nil && isDir && (top == "." || top == ""):
		return real, ".", nil
	case err == nil && isDir:
		return real, top, nil
	case err == nil && (dir || top == ""):
		return "", "", refuse(p.Clean, "%q is there and is not a directory", p.Clean)
	case err == nil && p.Dir:
		return "", "", refuse(p.Clean, "%q is not a directory", p.Clean)
	case err == nil:
		return path.Dir(real), path.Base(real), nil
	case !errors.Is(err, fs.ErrNotExist) || p.Dir && !dir || top == "":
		return "", "", missing(p.Clean, err)
	}
	if into, err = parent(p, look); err != nil {
		return "", "", err
	}
	return into, path.Base(p.Clean), nil
}

// parent is the directory that a path is in.
func parent(p Path, look Look) (string, error) {
	above := path.Dir(p.Clean)
	real, isDir, err := look(above)
	if err != nil {
		return "", missing(above, err)
	}
	if !isDir {
		return "", refuse(above, "%q is not a directory", above)
	}
	return real, nil
}

func missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(name, "%q is not there", name)
	}
	return refuse(name, "%q: %w", name, bare(err))
}

// bare is a path error without the path, which the message has already.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
