//go:build linux

package confine

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// install puts a filter on every thread of the process, or only on this one. It needs
// no_new_privs on this thread; the others get it with the filter.
func (f filter) install(everyThread bool) error {
	program, err := f.compile()
	if err != nil {
		return err
	}
	var flags uintptr
	if everyThread {
		flags = unix.SECCOMP_FILTER_FLAG_TSYNC
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	left, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("install a filter of system calls: %w", errno)
	}
	if left != 0 {
		return fmt.Errorf("install a filter of system calls: thread %d can't have it", left)
	}
	return nil
}
