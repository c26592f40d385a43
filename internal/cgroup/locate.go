package cgroup

import (
	"path/filepath"
	"strings"
)

// locate finds where version 2 is mounted, and this process's group in it, by the texts
// of /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)). own is empty
// where there is none, or it is outside of what is mounted.
func locate(mounts, groups string) (top, own string) {
	var path string
	for line := range strings.Lines(groups) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path = rest
		}
	}
	if path == "" || strings.HasPrefix(path, "/..") { // above this namespace
		return "", ""
	}
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if kind, _, _ := strings.Cut(after, " "); !ok || kind != "cgroup2" || len(fields) < 5 {
			continue
		}
		root, at := unescape(fields[3]), unescape(fields[4])
		below, err := filepath.Rel(root, path)
		if err == nil && filepath.IsLocal(below) {
			return at, filepath.Join(at, below)
		}
	}
	return "", ""
}

// unescape undoes what mountinfo does to spaces and the like: \040.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
