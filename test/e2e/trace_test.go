package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// trace is all that an instance could leave behind, one line each: records, files
// below the home, processes and listening ports.
func (h *home) trace() []string {
	h.t.Helper()
	out := strings.Fields(h.ok("instance", "list", "-q"))
	filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		own := d != nil && d.IsDir() && filepath.Dir(path) == h.dir || strings.Contains(path, "registry.db-") // these come and go
		if err == nil && !own {
			out = append(out, path)
		}
		return nil
	})
	for _, p := range h.processes() {
		out = append(out, "process "+p.String())
		for _, port := range listening(p.pid) {
			out = append(out, "port "+port)
		}
	}
	slices.Sort(out)
	return out
}

// settles wants the trace to be as it was, at the latest after two seconds.
func (h *home) settles(before []string) {
	h.t.Helper()
	h.eventually(2*time.Second, "nothing is left", func() error {
		after := h.trace()
		if slices.Equal(before, after) {
			return nil
		}
		return fmt.Errorf("more: %v, fewer: %v", without(after, before), without(before, after))
	})
}

// without is what a has and b has not.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// listening are the local addresses at which a process listens by TCP, as
// /proc/net/tcp writes them (proc_pid_net(5); state 0A is LISTEN).
func listening(pid int) []string {
	open := map[string]bool{}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			open[link] = true
		}
	}
	var out []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile("/proc/net/" + table)
		for line := range bytes.Lines(text) {
			f := strings.Fields(string(line))
			if len(f) > 9 && f[3] == "0A" && open["socket:["+f[9]+"]"] {
				out = append(out, f[1])
			}
		}
	}
	return out
}
