//go:build !linux

package workspace

import (
	"context"
	"io"
	"os"

	"aegis/internal/fault"
)

// Serve needs O_PATH descriptors, which only Linux has.
func Serve(context.Context, *os.File, io.ReadWriter, Options) error {
	return fault.New(fault.Workspace, "", "serve workspace", "live workspaces need a Linux host for now")
}
