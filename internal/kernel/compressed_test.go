package kernel

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// TestReadModule holds that a module is read as what it was packed from, and no larger than is taken.
func TestReadModule(t *testing.T) {
	packers := map[string]func(io.Writer) (io.WriteCloser, error){
		".ko":     func(w io.Writer) (io.WriteCloser, error) { return plain{w}, nil },
		".ko.xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		".ko.zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	}
	for suffix, open := range packers {
		for size, fine := range map[int]bool{1 << 20: true, maxModule + 1: false} {
			if !fine && suffix == ".ko.xz" {
				continue // packing it takes seconds
			}
			want := bytes.Repeat([]byte("module"), size/6+1)[:size]
			path := filepath.Join(t.TempDir(), "a"+suffix)
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			w, err := open(f)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(want)
			w.Close()
			f.Close()
			got, err := readModule(path)
			if (err == nil) != fine || fine && !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %d, %v", suffix, size, len(got), err)
			}
		}
	}
	broken := filepath.Join(t.TempDir(), "b.ko.xz")
	if err := os.WriteFile(broken, []byte("\xfd7zXZ\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readModule(broken); err == nil {
		t.Error("a module that is cut short is read")
	}
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }
