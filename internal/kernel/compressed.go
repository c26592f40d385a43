package kernel

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// readModule gives a module's bytes, decompressed: guests load them without a
// decompressor. Debian 12 ships plain files, later ones xz, others zstd.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a module: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("decompress %q: %w", path, err)
		}
		defer z.Close()
		r = z
	case strings.HasSuffix(path, ".xz"):
		x, err := xz.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("decompress %q: %w", path, err)
		}
		r = x
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if len(data) > maxModule {
		return nil, fmt.Errorf("read %q: it is larger than %d bytes", path, maxModule)
	}
	return data, nil
}
