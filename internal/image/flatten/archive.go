package flatten

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"strings"
)

// member is a file of an archive: where its bytes are, or which other one it is.
type member struct {
	at, size int64
	same     string
}

// archive is a tar stream that is opened by the names of its members.
type archive struct {
	in      *io.SectionReader
	members map[string]member
}

// openArchive finds out what kind of archive it is, and its image's layers.
func openArchive(in, scratch *os.File, want Platform, res *Result) ([]layer, error) {
	all, err := plain(in, scratch)
	if err != nil {
		return nil, err
	}
	a := &archive{in: all, members: map[string]member{}}
	if err := a.index(); err != nil {
		return nil, err
	}
	if layers, ok, err := a.docker(want, res); ok || err != nil {
		return layers, err
	}
	if layers, ok, err := a.oci(want, res); ok || err != nil {
		return layers, err
	}
	return []layer{{raw: all}}, nil // the root itself
}

// plain is the archive, unpacked into scratch if it is compressed.
func plain(in, scratch *os.File) (*io.SectionReader, error) {
	raw, err := section(in)
	if err != nil {
		return nil, err
	}
	stream, packed, err := unpack(raw, MaxArchive)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if !packed {
		return io.NewSectionReader(raw, 0, raw.Size()), nil
	}
	if _, err := io.Copy(scratch, stream); err != nil {
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			return nil, err
		}
		return nil, unreadable(err)
	}
	return section(scratch)
}

// index notes where the members are.
func (a *archive) index() error {
	blocks := &blockReader{SectionReader: a.in}
	in := tar.NewReader(blocks)
	words := 0
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			switch {
			case n == 0:
				return refuse("it is empty, or no archive")
			case !blocks.zero: // tar(5): an archive ends with zeros
				return refuse("it is cut short")
			}
			return nil
		}
		if err != nil {
			if n == 0 {
				return refuse("it is no archive of a kind that is known: a tar stream, as it is or compressed by gzip, zstd, xz or bzip2")
			}
			return unreadable(err)
		}
		if words += len(h.Name) + len(h.Linkname); n > MaxEntries || words > MaxWords {
			return refuse("it has more than %d entries, or names of more than %d MiB", MaxEntries, MaxWords>>20)
		}
		at, err := a.in.Seek(0, io.SeekCurrent) // tar reads no byte ahead
		if err != nil {
			return err
		}
		name := memberName(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			a.members[name] = member{at: at, size: h.Size}
		case tar.TypeLink:
			a.members[name] = member{same: memberName(h.Linkname)}
		case tar.TypeSymlink:
			a.members[name] = member{same: memberName(path.Join(path.Dir(name), h.Linkname))}
		}
	}
}

// blockReader notes whether what was read last is a block of zeros.
type blockReader struct {
	*io.SectionReader
	zero bool
}

// block is the unit of a tar stream, in bytes.
const block = 512

func (r *blockReader) Read(p []byte) (int, error) {
	n, err := r.SectionReader.Read(p)
	if n > 0 {
		r.zero = n == block && bytes.Equal(p[:n], zeros[:block])
	}
	return n, err
}

func memberName(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// open gives a member, or nil. A link leads to one other member.
func (a *archive) open(name string) *io.SectionReader {
	m, ok := a.members[memberName(name)]
	if m.same != "" {
		m, ok = a.members[m.same]
	}
	if !ok || m.same != "" || m.at+m.size > a.in.Size() {
		return nil
	}
	return io.NewSectionReader(a.in, m.at, m.size)
}

// document reads a small member; nil where there is none.
func (a *archive) document(name string) ([]byte, error) {
	in := a.open(name)
	if in == nil {
		return nil, nil
	}
	if in.Size() > MaxDocument {
		return nil, refuse("%.100q has %d bytes, more than %d MiB", name, in.Size(), MaxDocument>>20)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, unreadable(err)
	}
	return text, nil
}

// config is what the images' configs say that matters here.
type config struct {
	Platform
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// parseConfig reads a config, which must be of the wanted platform and say its layers' digests.
func parseConfig(text []byte, want Platform, layers int) (config, error) {
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return c, refuse("its config can't be read: %w", err)
	}
	if c.OS == "" {
		c.OS = "linux"
	}
	switch {
	case !want.Fits(c.Platform):
		return c, want.Missing([]Platform{c.Platform})
	case len(c.RootFS.DiffIDs) != layers:
		return c, refuse("it has %d layers, and its config has the digests of %d", layers, len(c.RootFS.DiffIDs))
	}
	for _, id := range c.RootFS.DiffIDs {
		if !strings.HasPrefix(id, "sha256:") {
			return c, refuse("%.80q is not a digest by sha256", id)
		}
	}
	return c, nil
}

// CheckConfig refuses a config that is not for a platform, or not of so many layers, and
// gives the digests of the unpacked ones.
func CheckConfig(text []byte, want Platform, layers int) (diffIDs []string, err error) {
	c, err := parseConfig(text, want, layers)
	return c.RootFS.DiffIDs, err
}

// invent makes the config of a root that has none: the same for the same root.
func (res *Result) invent(p Platform) error {
	text, err := json.Marshal(map[string]any{
		"os": p.OS, "architecture": p.Architecture,
		"rootfs": map[string]any{"type": "layers", "diff_ids": res.DiffIDs},
	})
	res.Config, res.Digest = text, Digest(text)
	return err
}
