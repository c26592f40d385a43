package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
)

// maxRoot is the largest root file system that is made, in bytes; a tar stream
// that holds more is refused while it is read. tar2ext4's own default.
const maxRoot = 16 << 30

// convert writes the tree of a tar stream as an ext4 file system that can only be
// mounted read-only: no journal, no free space, the same bytes for the same stream.
func convert(stream io.Reader, path string) error {
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(filter(stream, w)) }()
	err = tar2ext4.ConvertTarToExt4(r, out, tar2ext4.MaximumDiskSize(maxRoot))
	r.CloseWithError(errors.New("the conversion has ended")) // lets filter end
	return errors.Join(err, out.Close())
}

// filter copies the files, directories and links of a tar stream, without what the
// guest mounts over and without device nodes, sockets and FIFOs: a root has no use
// for them, and they would be doors. Other kinds of entries are an error.
func filter(stream io.Reader, w io.Writer) error {
	in, out := tar.NewReader(stream), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("read root tree: %w", err)
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
		case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			continue
		default:
			return fmt.Errorf("read root tree: entry %.100q is of the unknown kind %q", h.Name, h.Typeflag)
		}
		if covered(h.Name) {
			continue
		}
		h.Uname, h.Gname = "", ""
		h.Format = tar.FormatPAX
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("read root tree: entry %.100q: %w", h.Name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("read root tree: entry %.100q: %w", h.Name, err)
		}
	}
}

// covered reports whether the guest mounts a kernel's file system over the entry.
func covered(name string) bool {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")
	for _, mount := range []string{"dev/", "proc/", "sys/"} {
		if strings.HasPrefix(name, mount) && name != mount {
			return true
		}
	}
	return false
}
