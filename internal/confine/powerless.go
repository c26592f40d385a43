//go:build linux

package confine

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxFiles bounds the descriptors of a confined process. It is what a workspace's
// tables are made for; a process that was given fewer keeps those.
const maxFiles = 1 << 16

// coreLimit leaves no core file: it is smaller than any. Unlike 0 it also keeps the kernel
// from handing the memory to a program that core_pattern names (fs/coredump.c: a limit of
// 1 is how it knows that program's own fall).
const coreLimit = 1

// limit sets the resource limits, for good: no cores, no locked memory, no queues.
func limit(rung Rung) error {
	limits := map[int]uint64{unix.RLIMIT_CORE: coreLimit, unix.RLIMIT_MEMLOCK: 0, unix.RLIMIT_MSGQUEUE: 0, unix.RLIMIT_NOFILE: maxFiles}
	if rung.Namespaces() { // outside, it would count all that the user runs
		limits[unix.RLIMIT_NPROC] = 1024
	}
	for resource, most := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("read limit %d: %w", resource, err)
		}
		most = min(most, now.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("set limit %d: %w", resource, err)
		}
	}
	return nil
}

// everywhere makes a system call on every thread of the process.
func everywhere(call, a, b, c uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(call, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

// here makes it on this thread.
func here(call, a, b, c uintptr) error {
	if _, _, errno := unix.Syscall(call, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

// The arguments of capset(2). They stay where they are, since their addresses are passed on.
var (
	capHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	noCaps    [2]unix.CapUserData
	killCaps  [2]unix.CapUserData
)

// drop takes all capabilities, and the way to any by starting programs. call is
// everywhere, or here for a thread that goes on as another program.
func drop(call func(call, a, b, c uintptr) error) error { return keep(call, &noCaps) }

// dropButKill leaves CAP_KILL where there was any: a shim that is root ends processes
// that it has given other users.
func dropButKill() error {
	var now [2]unix.CapUserData
	if err := unix.Capget(&capHeader, &now[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	kill := now[0].Permitted & (1 << unix.CAP_KILL)
	killCaps[0] = unix.CapUserData{Effective: kill, Permitted: kill}
	return keep(everywhere, &killCaps)
}

// keep leaves those capabilities at most.
func keep(call func(call, a, b, c uintptr) error, caps *[2]unix.CapUserData) error {
	if err := call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	if err := call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&capHeader)), uintptr(unsafe.Pointer(&caps[0])), 0); err != nil {
		return fmt.Errorf("drop the capabilities: %w", err)
	}
	return nil
}

// unbound empties this thread's bounding set where that is allowed; before drop.
func unbound() {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		here(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0)
	}
}
