package engine

import (
	"io/fs"
	"os"
	"path/filepath"
)

// erase removes a directory and all below it, also what a guest has protected
// against its owner: a directory that may not be written to, as Go's module cache
// has many. It follows no symbolic link.
func erase(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			os.Chmod(path, 0o700) // before WalkDir reads it; the removal says what went wrong
		}
		return nil
	})
	return os.RemoveAll(dir)
}
