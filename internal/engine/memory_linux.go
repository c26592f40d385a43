package engine

import (
	"bufio"
	"fmt"
	"os"
)

// hostMemory is this machine's memory in bytes.
func hostMemory() (int64, error) { return meminfo("MemTotal") }

// hostAvailable is what the machine could give to processes without swapping, in
// bytes (proc(5), MemAvailable).
func hostAvailable() (int64, error) { return meminfo("MemAvailable") }

func meminfo(key string) (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read the machine's memory: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), key+": %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read the machine's memory: no %s in /proc/meminfo", key)
}
