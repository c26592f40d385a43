//go:build linux

package harness

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
)

// calmSlack is how late the runtime's monitor may wake, in nanoseconds: a tick of
// the guest's kernel, whose interrupt comes anyway. More would hold up goroutines
// behind one that is stuck in a system call, until the monitor sees it.
const calmSlack = "4000000"

// calmRuntime lets the Go runtime's monitor thread oversleep. While anything runs
// it sleeps 20 µs at a time, fifty times and then ever longer (runtime.sysmon);
// without KVM each of its timer interrupts and switches takes the one processor a
// tenth of a millisecond, for which the command of an exec waits. The slack is the
// thread's own (proc(5), timerslack_ns): nothing that the harness starts inherits
// it. What the monitor does comes late by as much, and no more.
func calmRuntime() error {
	monitor, err := monitorThread()
	if err != nil {
		return fmt.Errorf("find the runtime's monitor: %w", err)
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", monitor), []byte(calmSlack), 0)
}

// monitorThread is the first thread that the runtime made: the one with the lowest
// number but for the main one.
func monitorThread() (int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	monitor := math.MaxInt
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err == nil && tid != os.Getpid() {
			monitor = min(monitor, tid)
		}
	}
	if monitor == math.MaxInt {
		return 0, errors.New("there is but one thread")
	}
	return monitor, nil
}
