//go:build linux

package harness

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killWait bounds how long SIGKILL may take: a process in an uninterruptible wait
// has to be left to the end of the VM.
const killWait = 5 * time.Second

// kernelThread is a flag of field 9 of /proc/PID/stat (linux/sched.h, PF_KTHREAD).
const kernelThread = 0x00200000

// endProcesses sends SIGTERM to every process but this one and ours, gives
// them grace to end, and kills what is left. Groups would miss a process that
// has moved to another, so it goes through all there are.
func endProcesses(grace time.Duration, ours ...int) {
	signalAll(unix.SIGTERM, ours...)
	if awaitNone(grace, ours...) {
		return
	}
	for end := time.Now().Add(killWait); time.Now().Before(end); {
		signalAll(unix.SIGKILL, ours...)
		if awaitNone(50*time.Millisecond, ours...) {
			return
		}
	}
	say("shut down: %d processes did not end", len(processes("/proc", ours...)))
}

func signalAll(sig unix.Signal, ours ...int) {
	for _, pid := range processes("/proc", ours...) {
		unix.Kill(pid, sig)
	}
}

// awaitNone waits until no process is left. True: none is.
func awaitNone(patience time.Duration, ours ...int) bool {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 25*time.Millisecond) {
		if len(processes("/proc", ours...)) == 0 {
			return true
		}
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}

// processes lists the user's, oldest PID first: neither PID 1, ours nor the
// kernel's threads.
func processes(proc string, ours ...int) (pids []int) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 || slices.Contains(ours, pid) {
			continue
		}
		stat, err := os.ReadFile(proc + "/" + e.Name() + "/stat")
		if err == nil && !isKernelThread(string(stat)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isKernelThread reads a line of /proc/PID/stat. The program's name stands in
// parentheses and may hold anything; the rest comes behind the last one.
func isKernelThread(stat string) bool {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err == nil && flags&kernelThread != 0
}
