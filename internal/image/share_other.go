//go:build !linux

package image

import (
	"errors"
	"os"
)

// share does not exist by descriptor outside Linux: macOS's clonefile(2) wants a
// name that is free. A sparse copy of a blank disk is as good.
func share(_, _ *os.File) error { return errors.ErrUnsupported }
