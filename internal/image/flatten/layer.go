package flatten

import (
	"archive/tar"
	"errors"
	"io"
	"math"
	"path"
	"strings"

	"aegis/internal/fault"
)

// Whiteouts (OCI image specification, layer.md). What else begins with whMeta is
// bookkeeping of AUFS and no file.
const (
	whPrefix = ".wh."
	whMeta   = ".wh..wh."
	whOpaque = ".wh..wh..opq"
)

// apply reads a layer's stream and changes the tree by it. A whiteout hides what lower
// layers have, wherever it stands in its own.
func (t *tree) apply(stream io.Reader, layer int) error {
	in := tar.NewReader(stream)
	var content int64
	for part := 0; ; part++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if err := t.charge(h); err != nil {
			return err
		}
		if content += h.Size; h.Size < 0 || content > MaxRoot {
			return refuse("it holds more than %d GiB", int64(MaxRoot)>>30)
		}
		if err := t.take(h, layer, part); err != nil {
			return err
		}
	}
}

// unreadable is what a reader of the stream says; what it refuses itself stays as it is.
func unreadable(err error) error {
	if fe := (*fault.Error)(nil); errors.As(err, &fe) {
		return err
	}
	return refuse("it can't be read: %w", err)
}

// take applies one entry.
func (t *tree) take(h *tar.Header, layer, part int) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	dir, base := path.Split(path.Clean("/" + h.Name))
	if strings.HasPrefix(base, whPrefix) {
		if _, err := split(h.Name); err != nil {
			return err
		}
		return t.whiteout(dir, base, layer)
	}
	if covered(h.Name) {
		_, err := split(h.Name)
		return err
	}
	if h.Typeflag == tar.TypeLink {
		return t.hardLink(h, layer)
	}
	n, err := newNode(h)
	if err != nil {
		return err
	}
	n.layer, n.part = layer, part
	return t.put(h.Name, n, layer)
}

func (t *tree) whiteout(dir, base string, layer int) error {
	if base == whOpaque {
		return t.empty(dir, layer)
	}
	if strings.HasPrefix(base, whMeta) {
		return nil
	}
	hidden := strings.TrimPrefix(base, whPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return refuse("whiteout %.100q hides no name", dir+base)
	}
	return t.hide(dir+hidden, layer)
}

// hardLink gives a file of the image one more name.
func (t *tree) hardLink(h *tar.Header, layer int) error {
	old, err := t.find(h.Linkname)
	switch {
	case err != nil:
		return err
	case old == nil:
		return refuse("%.100q is a hard link to %.100q, which is not in the image", h.Name, h.Linkname)
	case old.kind == tar.TypeDir:
		return refuse("%.100q is a hard link to the directory %.100q", h.Name, h.Linkname)
	}
	return t.put(h.Name, old.node, layer)
}

// newNode is what a header says of a file. Its place and content come later.
func newNode(h *tar.Header) (*node, error) {
	n := &node{kind: h.Typeflag, mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid, mtime: h.ModTime}
	if h.Uid < 0 || h.Uid >= math.MaxUint32 || h.Gid < 0 || h.Gid >= math.MaxUint32 {
		return nil, refuse("%.100q belongs to user %d and group %d, which can't be", h.Name, h.Uid, h.Gid)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		n.kind, n.size = tar.TypeReg, h.Size
	case tar.TypeDir:
		n.below = map[string]*name{}
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) > maxPath {
			return nil, refuse("%.100q is a symbolic link of %d bytes", h.Name, len(h.Linkname))
		}
		n.link = h.Linkname
	case tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		return nil, refuse("%.100q is a device node", h.Name)
	default:
		return nil, refuse("%.100q is of the unknown kind %q", h.Name, h.Typeflag)
	}
	var err error
	n.attrs, err = attributes(h)
	return n, err
}

// Extended attributes: what a tar stream calls them, and how many bytes ext4 has room
// for in a block beside its inode (ext4's xattr.h), all together.
const (
	attrPrefix = "SCHILY.xattr."
	maxAttrs   = 3 << 10
)

// attributes keeps capabilities and what belongs to users. Those of overlayfs, which
// would make the guest's own root show other files, are refused; labels of the
// security modules of other machines are left out.
func attributes(h *tar.Header) (map[string]string, error) {
	var out map[string]string
	size := 0
	for k, v := range h.PAXRecords {
		attr, ok := strings.CutPrefix(k, attrPrefix)
		if !ok {
			continue
		}
		if strings.HasPrefix(attr, "trusted.overlay.") || strings.HasPrefix(attr, "user.overlay.") {
			return nil, refuse("%.100q has the attribute %.60q, by which overlayfs hides and redirects", h.Name, attr)
		}
		if attr != "security.capability" && !strings.HasPrefix(attr, "user.") {
			continue
		}
		if size += len(attr) + len(v) + 32; len(attr) > maxName || size > maxAttrs {
			return nil, refuse("%.100q has more attributes than ext4 has room for", h.Name)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[attr] = v
	}
	return out, nil
}

// covered reports whether the guest mounts a kernel's file system over the entry.
func covered(name string) bool {
	first, rest, below := strings.Cut(strings.TrimPrefix(path.Clean("/"+name), "/"), "/")
	return below && rest != "" && (first == "dev" || first == "proc" || first == "sys")
}
