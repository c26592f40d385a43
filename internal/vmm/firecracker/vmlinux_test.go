package firecracker

import (
	"bytes"
	"compress/gzip"
	le "encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// elfFile stands for a kernel: its magic, and bytes that pack a little.
var elfFile = append([]byte("\x7fELF"), bytes.Repeat([]byte("kernel "), 9<<10)...)

// packers pack as the kernel's build does, the size of text behind.
var packers = map[string]func(t *testing.T, text []byte) []byte{
	"lz4": func(t *testing.T, text []byte) []byte {
		return sized(text, pack(t, text, func(w io.Writer) io.WriteCloser {
			z := lz4.NewWriter(w)
			if err := z.Apply(lz4.LegacyOption(true)); err != nil {
				t.Fatal(err)
			}
			return z
		}))
	},
	"zstd": func(t *testing.T, text []byte) []byte {
		return sized(text, pack(t, text, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		}))
	},
	"gzip": func(t *testing.T, text []byte) []byte {
		return pack(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	},
}

func pack(t *testing.T, text []byte, writer func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sized(text, packed []byte) []byte {
	return le.LittleEndian.AppendUint32(packed, uint32(len(text)))
}

// bzImage puts a payload behind a header.
func bzImage(payload []byte) []byte {
	const sects, before = 3, 100
	image := make([]byte, (sects+1)*512+before)
	image[offSetupSects] = sects
	copy(image[offMagic:], "HdrS")
	le.LittleEndian.PutUint16(image[offVersion:], 0x20f)
	le.LittleEndian.PutUint32(image[offPayloadOffset:], before)
	le.LittleEndian.PutUint32(image[offPayloadLength:], uint32(len(payload)))
	return append(append(image, payload...), "more"...)
}

func unpackBytes(t *testing.T, image []byte) ([]byte, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	err = unpackKernel(&out, f)
	return out.Bytes(), err
}

func TestKernelIsUnpacked(t *testing.T) {
	for name, pack := range packers {
		if got, err := unpackBytes(t, bzImage(pack(t, elfFile))); err != nil || !bytes.Equal(got, elfFile) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(elfFile), err)
		}
	}
	if got, err := unpackBytes(t, elfFile); err != nil || !bytes.Equal(got, elfFile) {
		t.Errorf("an ELF file: %d bytes, %v", len(got), err)
	}
}

func TestSpoiltKernelIsRefused(t *testing.T) {
	whole := bzImage(packers["lz4"](t, elfFile))
	other := bytes.Clone(whole)
	copy(other[offMagic:], "HdrX")
	outside := bytes.Clone(whole)
	le.LittleEndian.PutUint32(outside[offPayloadLength:], 1<<30)
	huge := packers["lz4"](t, elfFile)
	le.LittleEndian.PutUint32(huge[len(huge)-4:], maxKernel+1)
	xz := sized(elfFile, append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, make([]byte, 99)...))
	text := []byte(strings.Repeat("not a kernel ", 999))
	for name, image := range map[string][]byte{
		"short": whole[:100], "cut": whole[:len(whole)-99], "no bzImage": other, "payload outside": outside,
		"huge": bzImage(huge), "xz": bzImage(xz), "text inside": bzImage(packers["zstd"](t, text)), "empty": nil,
		"too short for its size": bzImage(sized(make([]byte, 2*len(elfFile)), packers["lz4"](t, elfFile)[:len(huge)-4])),
	} {
		if _, err := unpackBytes(t, image); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func FuzzKernel(f *testing.F) {
	f.Add(elfFile[:64])
	for _, magic := range []string{"\x02\x21\x4c\x18", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08"} {
		f.Add(bzImage(append([]byte(magic), 1, 2, 3, 4, 5, 6, 7, 8, 16, 0, 0, 0)))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		var out bytes.Buffer
		err := unpack(&out, io.NewSectionReader(bytes.NewReader(image), 0, int64(len(image))))
		if err == nil && !bytes.HasPrefix(out.Bytes(), elfMagic) {
			t.Errorf("%.20q is taken for a kernel", out.Bytes())
		}
	})
}
