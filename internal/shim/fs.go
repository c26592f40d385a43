package shim

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"

	"aegis/internal/workspace"
)

// fsMain is the workspace helper: it parses the guest's FUSE messages and has
// nothing but its three descriptors.
func fsMain(args []string) error {
	life := os.NewFile(fdLife, "life")
	root := os.NewFile(fdRoot, "workspace")
	channel, err := net.FileConn(os.NewFile(fdChannel, "channel"))
	if err != nil {
		return fmt.Errorf("take the channel: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // whoever holds the other end is gone
		life.Read(make([]byte, 1))
		cancel()
		os.Exit(0)
	}()
	return workspace.Serve(ctx, root, channel, workspace.Options{ReadOnly: slices.Contains(args, readOnlyFlag)})
}
