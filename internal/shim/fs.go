package shim

import (
	"net"
	"os"
	"slices"

	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/workspace"
)

// The arguments of `aegis-shim fs` behind the rung.
const (
	readOnlyFlag = "--read-only"
	mountFlag    = "--mount" // the directory's descriptor is a mount of its own
)

// startFS starts the helper that serves a workspace. A shim of root gives it the user
// who owns the directory.
func startFS(w *instance.Workspace, rung confine.Rung, channel *net.UnixConn) (*helper, error) {
	root, err := os.Open(w.Path)
	if err != nil {
		return nil, fault.New(fault.Workspace, w.Path, "open the workspace", "%w", err)
	}
	defer root.Close()
	who, err := confine.Owner(root)
	if err != nil {
		return nil, err
	}
	var args []string
	if w.ReadOnly {
		args = append(args, readOnlyFlag)
	}
	if rung.Namespaces() && confine.Root() {
		mount, err := confine.Detach(root, w.ReadOnly)
		if err != nil {
			return nil, fault.New(fault.Workspace, w.Path, "confine the workspace", "%w", err)
		}
		defer mount.Close()
		root, args = mount, append(args, mountFlag)
	}
	return startHelper("the workspace's server", "fs", rung, who, args, channel, root)
}

// fsMain is the workspace helper: it parses the guest's FUSE messages and has
// nothing but its three descriptors.
func fsMain(args []string) error {
	rung, args := helperArgs(args)
	ctx, channel, root, err := helperMain("workspace")
	if err != nil {
		return err
	}
	readOnly := slices.Contains(args, readOnlyFlag)
	kept, err := confine.Enter(rung, confine.Room{Calls: confine.Files, Dir: root, ReadOnly: readOnly, Detached: slices.Contains(args, mountFlag)})
	if err != nil {
		return err
	}
	return workspace.Serve(ctx, kept.Dir, channel, workspace.Options{ReadOnly: readOnly, Proc: kept.Proc})
}
