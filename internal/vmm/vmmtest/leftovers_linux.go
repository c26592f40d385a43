package vmmtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// isOurChild reports whether a process is there, a zombie included, and is ours:
// its number may be another's by now.
func isOurChild(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid()))
}
