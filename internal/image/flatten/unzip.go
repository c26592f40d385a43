package flatten

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
)

// packings are the compressions that are known, by how a stream of each begins.
var packings = []struct {
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{[]byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{[]byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
	{[]byte("BZh"), func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// refused are compressions that are not taken, and the command that undoes them.
var refused = []struct {
	magic []byte
	say   string
}{
	{[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, "it is compressed by xz: unpack it with xz -d"},
	{[]byte{0x5d, 0, 0}, "it is compressed by lzma: unpack it with xz -d"},
}

// unpack gives the bytes of a stream that may be compressed, at most limit of them.
func unpack(r io.Reader, limit int64) (stream io.ReadCloser, packed bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	for _, p := range refused {
		if bytes.HasPrefix(head, p.magic) {
			return nil, false, refuse("%s", p.say)
		}
	}
	for _, p := range packings {
		if bytes.HasPrefix(head, p.magic) {
			plain, err := p.open(in)
			if err != nil {
				return nil, true, refuse("it can't be unpacked: %w", err)
			}
			return bounded{&capped{plain, limit}, plain}, true, nil
		}
	}
	return bounded{&capped{in, limit}, io.NopCloser(nil)}, false, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

// capped reads so many bytes and refuses the next: what unpacks to more is a bomb.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(int64(len(p)), c.left+1)])
	c.left -= int64(n)
	if c.left < 0 {
		return 0, refuse("it unpacks to more than is taken")
	}
	return n, err
}
