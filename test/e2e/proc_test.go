package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one of the host's, from /proc.
type process struct {
	pid     int
	args    string // command line, zeros as spaces
	environ string
	cwd     string
}

func (p process) String() string { return fmt.Sprintf("%d %.200s", p.pid, p.args) }

// all lists every process that can be read.
func all() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []process
	for _, dir := range dirs {
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(args) == 0 {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		out = append(out, process{pid, string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})), string(environ), cwd})
	}
	return out
}

// processes are those that belong to the home: the daemon, shims, helpers, monitors.
func (h *home) processes() []process {
	var out []process
	for _, p := range all() {
		ours := strings.HasPrefix(p.cwd, h.dir) || strings.Contains(p.environ, "AEGIS_HOME="+h.dir)
		if ours && p.pid != os.Getpid() {
			out = append(out, p)
		}
	}
	return out
}

// one is the only process of the home whose command line has this word.
func (h *home) one(word string) process {
	h.t.Helper()
	var found []process
	for _, p := range h.processes() {
		if strings.Contains(p.args, word) {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("%d processes with %q, want one: %v\nall: %v", len(found), word, found, h.processes())
	}
	return found[0]
}

// role says what a process of the home is for.
func (p process) role() string {
	args := strings.Fields(p.args)
	if len(args) == 0 {
		return ""
	}
	switch name := filepath.Base(args[0]); {
	case strings.HasPrefix(name, "qemu-system"):
		return "vmm"
	case len(args) > 1 && args[1] == "fs":
		return "fs"
	default:
		return name
	}
}
