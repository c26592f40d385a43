package image

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyData copies the extents of in that hold data, at their offsets, into out,
// which has its size and no data yet.
func copyData(out, in *os.File, size int64) error {
	for at := int64(0); at < size; {
		from, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return fmt.Errorf("find data of %q: %w", in.Name(), err)
		}
		to, err := unix.Seek(int(in.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find hole of %q: %w", in.Name(), err)
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, from), io.NewSectionReader(in, from, to-from)); err != nil {
			return fmt.Errorf("copy %q: %w", in.Name(), err)
		}
		at = to
	}
	return nil
}
