package flatten

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// packings are the compressions that are known, by how a stream of each begins.
var packings = []struct {
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{[]byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{[]byte{0x28, 0xb5, 0x2f, 0xfd}, openZstd},
	{[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, openXz},
	{[]byte("BZh"), func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// openXz bounds no window, which a stream asks for in each of its blocks: MaxMemory does.
func openXz(r io.Reader) (io.ReadCloser, error) {
	d, err := xz.NewReader(r)
	return io.NopCloser(unfiltered{d}), err
}

// unfiltered says of a stream with filters for programs, which the library does not undo, what does.
type unfiltered struct{ io.Reader }

func (u unfiltered) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && strings.HasPrefix(err.Error(), "xz: unsupported") {
		err = refuse("it is compressed by xz with a filter: unpack it with xz -d")
	}
	return n, err
}

// lzma is how streams begin that xz(1) wrote long ago, and still does when asked.
var lzma = []byte{0x5d, 0, 0}

// unpack gives the bytes of a stream that may be compressed, at most limit of them.
func unpack(r io.Reader, limit int64) (stream io.ReadCloser, packed bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if bytes.HasPrefix(head, lzma) {
		return nil, false, refuse("it is compressed by lzma: unpack it with xz -d")
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
