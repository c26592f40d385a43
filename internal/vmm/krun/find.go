package krun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"aegis/internal/vmm/krun/library"
)

// program is the name of a VM's process.
const program = "aegis-krun"

// worker is the program and what it loads.
type worker struct {
	path      string
	libraries library.Pair
}

// find looks for the program beside this one, where an installation puts it, and on PATH;
// and for the libraries near it, and where the system has them.
func find() (worker, error) {
	path, err := findProgram()
	if err != nil {
		return worker{}, err
	}
	pair, err := library.Find(append(near(path), library.System...))
	return worker{path, pair}, err
}

func findProgram() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", program, err)
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, program), filepath.Join(dir, "..", "libexec", "aegis", program)} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside %s, nor in ../libexec/aegis, nor on PATH", program, self)
	}
	return filepath.Abs(path)
}

// near are the directories of libraries that belong to the same installation.
func near(path string) []string {
	up := filepath.Dir(filepath.Dir(path))
	return []string{filepath.Join(up, "lib"), filepath.Join(up, "lib64")}
}

// checked remembers by build which libraries could be loaded.
var checked sync.Map

// checkTime bounds a check: it takes 20 ms.
const checkTime = 10 * time.Second

// check has the program load the libraries in a process of its own, once for a build.
func (w worker) check(ctx context.Context) error {
	build, err := w.libraries.Build()
	if err != nil {
		return err
	}
	build += w.path
	if _, ok := checked.Load(build); ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.path, "check", w.libraries.Libkrun, w.libraries.Libkrunfw)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.New(strings.TrimPrefix(text, program+": "))
		}
		return fmt.Errorf("load libkrun %s: %w", w.libraries.Version, err)
	}
	checked.Store(build, true)
	return nil
}
