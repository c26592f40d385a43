package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aegis/client"
	"aegis/internal/fault"
)

// parseWorkspace reads PATH|NAME[:ro]. What begins with "/" or "." is a path: it
// is made absolute here, and must be a directory that can be read. Anything else
// names a workspace that the daemon keeps.
func parseWorkspace(text string) (*client.Workspace, error) {
	if text == "" {
		return nil, nil
	}
	path, readOnly := strings.CutSuffix(text, ":ro")
	w := &client.Workspace{Path: path, ReadOnly: readOnly}
	what := fmt.Sprintf("use workspace %q", path)
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, ".") {
		if path == "" || strings.Contains(path, "/") {
			return nil, fault.New(fault.Invalid, path, what, "it is no name; a relative path begins with ./")
		}
		return w, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New(fault.Workspace, path, what, "%w", err)
	}
	w.Path = abs
	return w, checkDir(abs, what)
}

func checkDir(path, what string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.New(fault.Workspace, path, what, "%w", bare(err))
	}
	if !info.IsDir() {
		return fault.New(fault.Workspace, path, what, "it is not a directory")
	}
	dir, err := os.Open(path)
	if err != nil {
		return fault.New(fault.Workspace, path, what, "%w", bare(err))
	}
	defer dir.Close()
	if _, err := dir.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.Workspace, path, what, "%w", bare(err))
	}
	return nil
}

// bare is a path error without the path, which the message has already.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
