package flatten

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
)

// emit writes the tree as one tar stream: directories, then what has no content, then
// contents in the order of the layers' streams, which open reads again, then the other
// names of files.
func (t *tree) emit(w io.Writer, layers int, open func(layer int) (io.ReadCloser, error)) error {
	e := &emitter{out: tar.NewWriter(w), first: map[*node]string{}, wanted: make([]map[int]*node, layers)}
	if err := e.write("./", t.root.node); err != nil {
		return err
	}
	for _, plan := range []func(string, *name) error{e.dirs, e.plain} {
		if err := t.each(plan); err != nil {
			return err
		}
	}
	for layer, parts := range e.wanted {
		if len(parts) == 0 {
			continue
		}
		if err := e.contents(layer, parts, open); err != nil {
			return err
		}
	}
	for _, l := range e.links {
		h := &tar.Header{Typeflag: tar.TypeLink, Name: l[0], Linkname: l[1], Format: tar.FormatPAX}
		if err := e.out.WriteHeader(h); err != nil {
			return err
		}
	}
	return e.out.Close()
}

type emitter struct {
	out    *tar.Writer
	first  map[*node]string // the first name of a file
	links  [][2]string      // other names, and the first
	wanted []map[int]*node  // by layer: contents, by their part of its stream
}

func (e *emitter) dirs(p string, n *name) error {
	if n.kind != tar.TypeDir {
		return nil
	}
	return e.write(p+"/", n.node)
}

// plain writes what has no content, and remembers the rest.
func (e *emitter) plain(p string, n *name) error {
	if n.kind == tar.TypeDir {
		return nil
	}
	if first, again := e.first[n.node]; again {
		e.links = append(e.links, [2]string{p, first})
		return nil
	}
	e.first[n.node] = p
	if n.kind != tar.TypeReg || n.size == 0 {
		return e.write(p, n.node)
	}
	if e.wanted[n.node.layer] == nil {
		e.wanted[n.node.layer] = map[int]*node{}
	}
	e.wanted[n.node.layer][n.part] = n.node
	return nil
}

// contents reads a layer again and writes the files of it that are left.
func (e *emitter) contents(layer int, parts map[int]*node, open func(int) (io.ReadCloser, error)) error {
	stream, err := open(layer)
	if err != nil {
		return err
	}
	defer stream.Close()
	in := tar.NewReader(stream)
	for part, left := 0, len(parts); left > 0; part++ {
		h, err := in.Next()
		if err != nil {
			return unreadable(err)
		}
		n := parts[part]
		if n == nil {
			continue
		}
		left--
		if h.Size != n.size {
			return refuse("%.100q changed while it was read", h.Name)
		}
		if err := e.write(e.first[n], n); err != nil {
			return err
		}
		if _, err := io.Copy(e.out, in); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) write(p string, n *node) error {
	h := &tar.Header{Typeflag: n.kind, Name: p, Linkname: n.link, Size: n.size, Mode: n.mode, Uid: n.uid, Gid: n.gid, ModTime: n.mtime, Format: tar.FormatPAX}
	if len(n.attrs) > 0 {
		h.PAXRecords = map[string]string{}
		for _, k := range slices.Sorted(maps.Keys(n.attrs)) {
			h.PAXRecords[attrPrefix+k] = n.attrs[k]
		}
	}
	err := e.out.WriteHeader(h)
	if errors.Is(err, tar.ErrHeader) {
		return refuse("%.100q has a header that can't be kept: %w", path.Clean(p), err)
	}
	return err
}
