//go:build linux

package harness

import (
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// say writes a line to the guest's console, which the host keeps for boot-failed
// reasons. Standard error is /dev/console from prepare on.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "aegis: "+format+"\n", args...)
}

// end syncs and ends the VM: the monitor takes a restart for the end. It returns
// only where reboot(2) is refused, outside a VM.
func end(why string) {
	say("the machine ends: %s", why)
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// endOnPanic is deferred by each goroutine that handles requests: a bug ends the
// VM with its disks synced, and its trace is on the console.
func endOnPanic() {
	if r := recover(); r != nil {
		say("panic: %v\n%s", r, debug.Stack())
		end("the harness failed")
	}
}
