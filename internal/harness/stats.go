//go:build linux

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// tick is the unit of /proc/stat: USER_HZ is 100 on amd64 and arm64.
const tick = time.Second / 100

// readStats reads the counters of the kernel, of the root's disk (an overlay
// tells its upper layer's) and of the groups.
func readStats(proc, root, groups string) (wire.Stats, error) {
	s := wire.Stats{Uptime: uptime()}
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return s, fmt.Errorf("read counters: %w", err)
	}
	s.CPU = busy(string(stat))
	mem, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return s, fmt.Errorf("read counters: %w", err)
	}
	total, free := meminfo(string(mem), "MemTotal"), meminfo(string(mem), "MemAvailable")
	s.MemoryTotal, s.MemoryUsed = total, total-free
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return s, fmt.Errorf("read counters: %w", err)
	}
	s.DiskTotal = int64(fs.Blocks) * fs.Bsize
	s.DiskUsed = int64(fs.Blocks-fs.Bfree) * fs.Bsize
	lists, _ := filepath.Glob(groups + "/*/cgroup.procs")
	for _, list := range lists {
		pids, _ := os.ReadFile(list)
		s.Processes += strings.Count(string(pids), "\n")
	}
	return s, nil
}

// busy sums the first line of /proc/stat (proc(5)) without idle and iowait, the
// fourth and fifth figures, and guest time, which user time includes.
func busy(stat string) (cpu time.Duration) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	for i := 1; i < min(len(fields), 9); i++ {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err == nil && i != 4 && i != 5 {
			cpu += time.Duration(n) * tick
		}
	}
	return cpu
}

// meminfo finds a line of /proc/meminfo, in bytes.
func meminfo(text, name string) int64 {
	_, rest, _ := strings.Cut("\n"+text, "\n"+name+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}
