package kernel

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Unused lists what nothing needs in a directory of kernels: those beside the one
// that Open finds of each architecture, archives that no start has used for a day, and
// work that was left unfinished as long ago.
func Unused(dir string) []string {
	if _, err := Open(dir, runtime.GOARCH); err != nil {
		return nil // set-up mends that first
	}
	entries, _ := os.ReadDir(dir) // Open has read it
	var out []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		old := time.Since(info.ModTime()) > initrdAge
		archive, _ := filepath.Match(initrdPattern, e.Name()) // the pattern is well formed
		switch {
		case archive, strings.HasPrefix(e.Name(), stagePrefix):
			if old {
				out = append(out, path)
			}
		case info.IsDir() && superseded(dir, path):
			out = append(out, path)
		}
	}
	return out
}

// superseded reports whether there is a newer kernel of the same architecture in dir
// than the one at path.
func superseded(dir, path string) bool {
	k, err := read(path)
	if err != nil {
		return false
	}
	current, err := Open(dir, k.Arch)
	return err == nil && current.Dir != path
}
