package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Unused lists what nothing needs in a directory of kernels: those beside the one
// that Open finds, archives that no start has used for a day, and work that was
// left unfinished as long ago. Kernels of other architectures stay.
func Unused(dir string) []string {
	current, err := Open(dir)
	if err != nil {
		return nil // set-up mends that first
	}
	entries, _ := os.ReadDir(dir) // Open has read it
	var out []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil || path == current.Dir {
			continue
		}
		old := time.Since(info.ModTime()) > initrdAge
		archive, _ := filepath.Match(initrdPattern, e.Name()) // the pattern is well formed
		switch {
		case archive, strings.HasPrefix(e.Name(), stagePrefix):
			if old {
				out = append(out, path)
			}
		case info.IsDir() && superseded(path, current.Arch):
			out = append(out, path)
		}
	}
	return out
}

// superseded reports whether a directory holds a kernel of this architecture.
func superseded(dir, arch string) bool {
	k, err := read(dir)
	return err == nil && k.Arch == arch
}
