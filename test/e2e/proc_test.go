package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is one of the host's, from /proc.
type process struct {
	pid     int
	parent  int
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
		out = append(out, process{pid, parentOf(dir), string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})), string(environ), cwd})
	}
	return out
}

// parentOf reads proc_pid_stat(5); what stands behind the name can hold no ")".
func parentOf(dir string) int {
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// holds is whether the process has something of dir open.
func (p process) holds(dir string) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid))
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, dir) {
			return true
		}
	}
	return false
}

// processes are those that belong to the home: the daemon, shims, helpers, monitors.
// A confined one has neither a directory nor an environment of the home: it is known
// by its shim, or by what it has open when that is gone.
func (h *home) processes() []process {
	every := all()
	shims := map[int]bool{}
	named := func(p process) bool {
		return strings.HasPrefix(p.cwd, h.dir) || strings.Contains(p.environ, "AEGIS_HOME="+h.dir)
	}
	for _, p := range every {
		shims[p.pid] = p.role() == "aegis-shim" && named(p)
	}
	var out []process
	for _, p := range every {
		orphan := p.parent == 1 && (p.role() == "vmm" || p.role() == "fs") && p.holds(filepath.Dir(h.dir))
		if (named(p) || shims[p.parent] || orphan) && p.pid != os.Getpid() {
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
	every := slices.Clone(found)
	found = slices.DeleteFunc(found, func(p process) bool { // it is about to become another program
		return slices.ContainsFunc(every, func(o process) bool { return o.pid == p.parent && o.args == p.args })
	})
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
	case strings.HasPrefix(name, "qemu-system"), name == "firecracker", name == "aegis-krun":
		return "vmm"
	case len(args) > 1 && (args[1] == "fs" || args[1] == "net"):
		return args[1]
	default:
		return name
	}
}

// group is the path of a process's control group, of version 2, or "" where none is.
func (p process) group() string {
	body, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid))
	for line := range strings.Lines(string(body)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return ""
}

// groupDir is where that group is seen, by the first mount of version 2.
func (p process) groupDir() string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return filepath.Join(fields[4], p.group())
		}
	}
	return ""
}

// share is what its part of a busy host's processors comes from: the weight of its group,
// or the nice value of its session's autogroup; "" where the kernel has neither.
func (p process) share() string {
	if dir := p.groupDir(); dir != "" {
		if weight, err := os.ReadFile(filepath.Join(dir, "cpu.weight")); err == nil {
			return "weight " + strings.TrimSpace(string(weight))
		}
	}
	said, _ := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", p.pid))
	_, nice, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	return nice
}

// low reports whether that is what something made ahead has.
func low(share string) bool { return share == "weight 10" || share == "nice 10" }

// urgent wants a shim and all that it started to have their full share of the host's
// processors, or else to be behind its other work.
func (h *home) urgent(shim process, want bool) {
	h.t.Helper()
	if shim.share() == "" {
		h.t.Log("pending: this kernel shares processors out among processes alone")
		return
	}
	h.eventually(10*time.Second, fmt.Sprintf("urgent: %t", want), func() error {
		of := 0
		for _, p := range h.processes() {
			if p.pid != shim.pid && p.parent != shim.pid {
				continue
			}
			of++
			if low(p.share()) == want {
				return fmt.Errorf("%v has %s", p, p.share())
			}
		}
		if of < 2 {
			return fmt.Errorf("%d processes", of)
		}
		return nil
	})
}
