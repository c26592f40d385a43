//go:build linux && amd64

package harness

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMonitorThread sees that the thread which is taken for the runtime's monitor
// sleeps as the monitor does, and gets the slack alone.
func TestMonitorThread(t *testing.T) {
	monitor, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for asleep := false; !asleep; {
		if time.Now().After(deadline) {
			t.Fatalf("thread %d never slept while a goroutine was busy", monitor)
		}
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", monitor))
		if err != nil {
			t.Skipf("pending: the system calls of threads can't be read here: %v", err)
		}
		const nanosleep = "35 " // its number on amd64
		asleep = strings.HasPrefix(string(call), nanosleep)
	}
	slack := func(pid int) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	before := slack(monitor)
	if err := calmRuntime(); os.IsPermission(err) {
		t.Skip("pending: timerslack_ns needs root")
	} else if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", monitor), []byte(before), 0)
	if slack(monitor) != calmSlack || slack(os.Getpid()) == calmSlack {
		t.Errorf("slack of the monitor: %s, of the main thread: %s", slack(monitor), slack(os.Getpid()))
	}
}
