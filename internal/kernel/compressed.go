package kernel

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// readModule gives a module's bytes, decompressed: guests load them without a
// decompressor. Debian 12 ships plain files, later ones xz, others zstd.
func readModule(ctx context.Context, path string) ([]byte, error) {
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
		cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout")
		cmd.Stdin = f
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("decompress %q with xz: %w", path, err)
		}
		r = bytes.NewReader(out)
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
