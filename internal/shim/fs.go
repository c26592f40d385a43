package shim

import (
	"net"
	"os"
	"slices"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/workspace"
)

// readOnlyFlag is the one argument of `aegis-shim fs`.
const readOnlyFlag = "--read-only"

// startFS starts the helper that serves a workspace.
func startFS(w *instance.Workspace, channel *net.UnixConn) (*helper, error) {
	root, err := os.Open(w.Path)
	if err != nil {
		return nil, fault.New(fault.Workspace, w.Path, "open the workspace", "%w", err)
	}
	defer root.Close()
	args := []string{"fs"}
	if w.ReadOnly {
		args = append(args, readOnlyFlag)
	}
	return startHelper("the workspace's server", args, channel, root)
}

// fsMain is the workspace helper: it parses the guest's FUSE messages and has
// nothing but its three descriptors.
func fsMain(args []string) error {
	ctx, channel, root, err := helperMain("workspace")
	if err != nil {
		return err
	}
	return workspace.Serve(ctx, root, channel, workspace.Options{ReadOnly: slices.Contains(args, readOnlyFlag)})
}
