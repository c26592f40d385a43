package flatten

import (
	"archive/tar"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"aegis/internal/fault"
)

// node is a file, whatever its names.
type node struct {
	kind     byte // tar.TypeReg, TypeDir, TypeSymlink or TypeFifo
	mode     int64
	uid, gid int
	mtime    time.Time
	attrs    map[string]string // extended ones
	link     string            // of a symbolic link

	size        int64 // of a regular file, whose content is
	layer, part int   // the part-th entry of that layer

	below map[string]*name // of a directory
}

// name is an entry of a directory, and the last layer that has said so.
type name struct {
	layer int
	*node
}

// tree is an image while its layers are applied, the lowest first.
type tree struct {
	root    *name
	entries int
	words   int
}

func newTree() *tree {
	return &tree{root: &name{0, newDir()}}
}

func newDir() *node {
	return &node{kind: tar.TypeDir, mode: 0o755, below: map[string]*name{}}
}

// refuse is why an image is not taken.
func refuse(why string, args ...any) error {
	return fault.New(fault.ImageUnusable, "", "", why, args...)
}

// charge counts what an entry takes of the memory.
func (t *tree) charge(h *tar.Header) error {
	t.entries++
	t.words += len(h.Name) + len(h.Linkname)
	for k, v := range h.PAXRecords {
		t.words += len(k) + len(v)
	}
	switch {
	case t.entries > MaxEntries:
		return refuse("it has more than %d entries", MaxEntries)
	case t.words > MaxWords:
		return refuse("its names and attributes take more than %d MiB", MaxWords>>20)
	}
	return nil
}

// split makes components of a path. An absolute one begins at the image's root, as any
// other does; one that goes up is refused.
func split(p string) ([]string, error) {
	if len(p) > maxPath {
		return nil, refuse("a path that begins with %.60q has %d bytes, more than %d", p, len(p), maxPath)
	}
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return nil, refuse("path %.100q goes up", p)
		case len(part) > maxName:
			return nil, refuse("a name that begins with %.60q has %d bytes, more than %d", part, len(part), maxName)
		case strings.ContainsRune(part, 0):
			return nil, refuse("path %.100q holds a zero byte", p)
		}
		parts = append(parts, part)
	}
	if len(parts) > maxDepth {
		return nil, refuse("path %.60q… is more than %d deep", p, maxDepth)
	}
	return parts, nil
}

// walk finds a directory. Symbolic links on the way lead to other places of the image:
// one that goes up out of it, round and round, or to a file is refused. With a layer of
// 0 or more, directories that are missing are made as that layer's; else nil is returned.
func (t *tree) walk(parts []string, layer int) (*name, error) {
	at := []*name{t.root}
	shown, follows := strings.Join(parts, "/"), 0
	for len(parts) > 0 {
		part, dir := parts[0], at[len(at)-1]
		parts = parts[1:]
		if part == ".." {
			if len(at) == 1 {
				return nil, refuse("path %.100q leads out of the image by a symbolic link", shown)
			}
			at = at[:len(at)-1]
			continue
		}
		next := dir.below[part]
		if next == nil {
			if layer < 0 {
				return nil, nil
			}
			if len(at) > maxDepth {
				return nil, refuse("path %.60q… is more than %d deep", shown, maxDepth)
			}
			next = &name{layer, newDir()}
			dir.below[part] = next
			t.entries++
		}
		switch next.kind {
		case tar.TypeDir:
			at = append(at, next)
		case tar.TypeSymlink:
			if follows++; follows > maxFollow {
				return nil, refuse("path %.100q leads through more than %d symbolic links", shown, maxFollow)
			}
			if strings.HasPrefix(next.link, "/") {
				at = at[:1]
			}
			parts = slices.Concat(pieces(next.link), parts)
		default:
			return nil, refuse("path %.100q leads through %q, which is no directory", shown, part)
		}
	}
	return at[len(at)-1], nil
}

// pieces are the components of a symbolic link, those that go up among them.
func pieces(link string) []string {
	return slices.DeleteFunc(strings.Split(link, "/"), func(s string) bool { return s == "" || s == "." })
}

// put gives a path a file. A directory that is there already keeps what it holds; all
// else is replaced.
func (t *tree) put(p string, n *node, layer int) error {
	parts, err := split(p)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		if n.kind != tar.TypeDir {
			return refuse("its root is no directory")
		}
		n.below = t.root.below
		t.root = &name{layer, n}
		return nil
	}
	dir, err := t.walk(parts[:len(parts)-1], layer)
	if err != nil {
		return err
	}
	last := parts[len(parts)-1]
	if old := dir.below[last]; old != nil && old.kind == tar.TypeDir && n.kind == tar.TypeDir && n != old.node {
		n.below = old.below
	}
	dir.below[last] = &name{layer, n}
	return nil
}

// find is the file at a path, which is not followed if it is a link, or nil.
func (t *tree) find(p string) (*name, error) {
	parts, err := split(p)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return t.root, nil
	}
	dir, err := t.walk(parts[:len(parts)-1], -1)
	if err != nil || dir == nil {
		return nil, err
	}
	return dir.below[parts[len(parts)-1]], nil
}

// hide removes what layers below have at a path.
func (t *tree) hide(p string, layer int) error {
	parts, err := split(p)
	if err != nil {
		return err
	}
	dir, err := t.walk(parts[:len(parts)-1], -1)
	if err != nil || dir == nil {
		return err
	}
	last := parts[len(parts)-1]
	if old := dir.below[last]; old != nil && !prune(old, layer) {
		delete(dir.below, last)
	}
	return nil
}

// empty removes what layers below have in a directory.
func (t *tree) empty(p string, layer int) error {
	parts, err := split(p)
	if err != nil {
		return err
	}
	dir, err := t.walk(parts, -1)
	if err != nil || dir == nil {
		return err
	}
	pruneBelow(dir, layer)
	return nil
}

// prune removes what is of lower layers, and reports whether anything is left.
func prune(n *name, layer int) bool {
	if n.kind != tar.TypeDir {
		return n.layer >= layer
	}
	pruneBelow(n, layer)
	return n.layer >= layer || len(n.below) > 0
}

func pruneBelow(dir *name, layer int) {
	for k, n := range dir.below {
		if !prune(n, layer) {
			delete(dir.below, k)
		}
	}
}

// each visits every name below the root, directories before what they hold, in order.
func (t *tree) each(visit func(path string, n *name) error) error {
	return eachBelow("", t.root, visit)
}

func eachBelow(at string, dir *name, visit func(string, *name) error) error {
	for _, k := range slices.Sorted(maps.Keys(dir.below)) {
		n := dir.below[k]
		p := path.Join(at, k)
		if err := visit(p, n); err != nil {
			return err
		}
		if n.kind == tar.TypeDir {
			if err := eachBelow(p, n, visit); err != nil {
				return err
			}
		}
	}
	return nil
}
