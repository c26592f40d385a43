//go:build !linux

package firecracker

import (
	"errors"
	"os"
)

func openSocket(string) (*os.File, error) { return nil, errors.New("this backend runs on Linux only") }
