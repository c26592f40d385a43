package flatten

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
)

// Kinds of a Job.
const (
	Layers  = "layers"  // Files.In are an image's layers, the lowest first
	Archive = "archive" // Files.In is one archive of any kind that is known
)

// Job is what is to be made, beside its open files.
type Job struct {
	Kind     string   `json:"kind"`
	DiffIDs  []string `json:"diff_ids,omitempty"` // of Layers: the digests of the unpacked ones
	Platform Platform `json:"platform"`           // of an Archive: the wanted one
}

// Files are the open files of a Job, all regular.
type Files struct {
	Out     *os.File   // empty: becomes the file system
	Scratch *os.File   // empty: for an archive that is compressed as a whole; of an Archive only
	In      []*os.File // opened for reading
}

// Result is what was found in an Archive. Of Layers it is empty.
type Result struct {
	Digest  string          `json:"digest,omitempty"` // of its manifest; where it has none, of its config
	Config  json.RawMessage `json:"config,omitempty"` // as the OCI image specification has it
	Names   []string        `json:"names,omitempty"`  // that the archive gives it
	DiffIDs []string        `json:"diff_ids,omitempty"`
}

// layer is one layer, wherever its bytes are.
type layer struct {
	raw    *io.SectionReader
	digest string // of the bytes as they are; "": not known
	diffID string // of the unpacked ones; "" : not known
}

// Do carries a job out. report is told how many bytes were read of how many, and may
// be nil. What can't be taken is a fault.ImageUnusable, an archive that lacks the
// platform a fault.ImageMissing; errors of the files themselves stay what they are.
func Do(job Job, files Files, report func(done, total int64)) (Result, error) {
	var res Result
	layers, err := job.layers(files, &res)
	if err != nil {
		return res, err
	}
	if len(layers) > MaxLayers {
		return res, refuse("it has %d layers, more than %d", len(layers), MaxLayers)
	}
	m := &meter{report: report}
	for _, l := range layers {
		m.total += 2 * l.raw.Size() // each is read twice
	}
	t := newTree()
	for i := range layers {
		if err := layers[i].read(m, func(stream io.Reader) error { return t.apply(stream, i) }); err != nil {
			return res, err
		}
		res.DiffIDs = append(res.DiffIDs, layers[i].diffID)
	}
	if job.Kind == Archive && res.Config == nil {
		if err := res.invent(job.Platform); err != nil {
			return res, err
		}
	}
	return res, t.write(files.Out, layers, m)
}

// layers finds the job's.
func (job Job) layers(files Files, res *Result) ([]layer, error) {
	switch {
	case job.Kind == Archive && len(files.In) == 1:
		return openArchive(files.In[0], files.Scratch, job.Platform, res)
	case job.Kind == Layers && len(files.In) == len(job.DiffIDs):
		var out []layer
		for i, f := range files.In {
			raw, err := section(f)
			if err != nil {
				return nil, err
			}
			out = append(out, layer{raw: raw, diffID: job.DiffIDs[i]})
		}
		return out, nil
	}
	return nil, fmt.Errorf("a job of %q can't have %d files and %d digests", job.Kind, len(files.In), len(job.DiffIDs))
}

func section(f *os.File) (*io.SectionReader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(f, 0, info.Size()), nil
}

// read unpacks a layer for use, to its end, and compares its digests.
func (l *layer) read(m *meter, use func(io.Reader) error) error {
	raw, plain := sha256.New(), sha256.New()
	in := io.TeeReader(m.reader(l.again()), raw)
	stream, _, err := unpack(in, MaxStream)
	if err != nil {
		return err
	}
	defer stream.Close()
	all := io.TeeReader(stream, plain)
	if err := use(all); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return unreadable(err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	if got := digestOf(raw); l.digest != "" && got != l.digest {
		return refuse("a layer has the digest %s and not %s", got, l.digest)
	}
	got := digestOf(plain)
	if l.diffID != "" && got != l.diffID {
		return refuse("a layer, unpacked, has the digest %s and not %s", got, l.diffID)
	}
	l.diffID = got
	return nil
}

// again reads the layer from its beginning.
func (l *layer) again() *io.SectionReader { return io.NewSectionReader(l.raw, 0, l.raw.Size()) }

func digestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// Digest is that of a document.
func Digest(text []byte) string {
	h := sha256.New()
	h.Write(text)
	return digestOf(h)
}

// write makes the file system: no journal, no free space, the same bytes for the same
// tree, and can only be mounted read-only.
func (t *tree) write(out file, layers []layer, m *meter) error {
	to := &sparse{file: out, limit: MaxRoot}
	r, w := io.Pipe()
	go func() {
		in := bufio.NewWriterSize(w, pipeSize)
		err := t.emit(in, len(layers), func(i int) (io.ReadCloser, error) {
			stream, _, err := unpack(m.reader(layers[i].again()), MaxStream)
			return stream, err
		})
		if err == nil {
			err = in.Flush()
		}
		w.CloseWithError(err)
	}()
	err := tar2ext4.ConvertTarToExt4(bufio.NewReaderSize(r, pipeSize), to, tar2ext4.MaximumDiskSize(MaxRoot))
	r.CloseWithError(errors.New("the conversion has ended")) // lets emit end
	if err != nil {
		return unwritable(err)
	}
	return to.finish()
}

// pipeSize is how many bytes pass at once from the tree to tar2ext4: each pass wakes a
// goroutine.
const pipeSize = 256 << 10

// unwritable tells what the file system can't hold from what the disk can't.
func unwritable(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return err
	}
	return unreadable(fmt.Errorf("it can't be made a file system: %w", err))
}

// meter counts what is read.
type meter struct {
	done, total int64
	report      func(done, total int64)
}

func (m *meter) reader(r io.Reader) io.Reader { return metered{m, r} }

type metered struct {
	m *meter
	r io.Reader
}

func (r metered) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.m.done += int64(n)
	if r.m.report != nil {
		r.m.report(r.m.done, r.m.total)
	}
	return n, err
}
