package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
	"aegis/internal/undo"
)

// Reading is what an import says while it stores its archive, before all else.
const Reading = "reading"

// Source is what an import takes.
type Source struct {
	Archive  io.Reader // a docker archive, an OCI archive, an OCI layout or a root's files as a tar stream; compressed or not
	Name     string    // for the image; "": as the archive has it
	Platform string    // as flatten.ParsePlatform takes it: which of an archive's, or what a root is for
}

// Import takes an image from an archive. A name that another image has is taken from
// that. What is hostile, broken or too large is a fault.ImageUnusable, an archive without
// the platform a fault.ImageMissing, a disk too full a fault.NoSpace, and a name that can
// be none a fault.Invalid; then nothing has changed.
func (s Store) Import(ctx context.Context, src Source, report Report) (Image, error) {
	what := "import an image"
	if src.Name != "" {
		what = quoted("import", src.Name)
	}
	img, err := s.take(ctx, src, report)
	return img, failed(ctx, err, what, src.Name, s.Stage)
}

func (s Store) take(ctx context.Context, src Source, report Report) (Image, error) {
	want, err := flatten.ParsePlatform(src.Platform)
	if err != nil {
		return Image{}, err
	}
	if src.Name != "" {
		if _, err := parse(src.Name); err != nil {
			return Image{}, err
		}
	}
	dir, done, err := s.work()
	if err != nil {
		return Image{}, err
	}
	defer done()
	in := intake{s, dir, report}
	res, err := in.archive(ctx, src.Archive, want)
	if err != nil {
		return Image{}, err
	}
	m := manifest{Digest: res.Digest, Platform: want.String()}
	if m.Config, err = readConfig(res.Config); err != nil {
		return Image{}, err
	}
	if !isDigest(m.Digest) {
		return Image{}, unusable("%.80q is not a digest by sha256", m.Digest)
	}
	names := res.Names
	if src.Name != "" {
		names = []string{src.Name}
	}
	return in.commit(ctx, m, recordsOf(names, m.Digest, want))
}

// maxArchiveNames bounds how many names an archive can give its image.
const maxArchiveNames = 16

// recordsOf are those of names, but for what can be none: an archive's own may be
// anything.
func recordsOf(names []string, digest string, p flatten.Platform) (out []record) {
	for _, n := range names[:min(len(names), maxArchiveNames)] {
		if parsed, err := parse(n); err == nil {
			out = append(out, record{Name: parsed.Name(), Platform: p.String(), Digest: digest, At: time.Now().UTC()})
		}
	}
	return out
}

// archive stores the stream, so that it can be read in any order, and converts it.
func (in intake) archive(ctx context.Context, stream io.Reader, want flatten.Platform) (flatten.Result, error) {
	var u undo.Stack
	defer u.Run()
	open := func(name string) (*os.File, error) {
		f, err := os.OpenFile(filepath.Join(in.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			u.Add(func() { f.Close() })
		}
		return f, err
	}
	archive, err := open(fileArchive)
	if err != nil {
		return flatten.Result{}, err
	}
	scratch, err := open(fileScratch)
	if err != nil {
		return flatten.Result{}, err
	}
	if err := in.spool(ctx, archive, stream); err != nil {
		return flatten.Result{}, err
	}
	readable, err := os.Open(archive.Name())
	if err != nil {
		return flatten.Result{}, err
	}
	u.Add(func() { readable.Close() })
	return in.convert(ctx, flatten.Job{Kind: flatten.Archive, Platform: want}, flatten.Files{Scratch: scratch, In: []*os.File{readable}})
}

// spoolStep is how many bytes are stored between two looks at the disk's free space.
const spoolStep = 16 << 20

// spool stores a stream of any length up to flatten.MaxArchive, while there is room.
func (in intake) spool(ctx context.Context, to *os.File, stream io.Reader) error {
	stream = until{ctx, stream}
	for size := int64(0); ; {
		if err := room(in.dir, spoolStep, "store the archive"); err != nil {
			return err
		}
		n, err := io.CopyN(to, stream, spoolStep)
		size += n
		in.report(Reading, size, 0)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return sourceError(err)
		case size > flatten.MaxArchive:
			return unusable("it has more than %d GiB", int64(flatten.MaxArchive)>>30)
		}
	}
}

// sourceError tells a source that broke off from a disk that did.
func sourceError(err error) error {
	if isFull(err) {
		return err
	}
	return fault.New(fault.File, "", "", "%w", fmt.Errorf("it can't be read to its end: %w", err))
}
