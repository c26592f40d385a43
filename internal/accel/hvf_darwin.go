package accel

import (
	"context"

	"golang.org/x/sys/unix"
)

const device = "Hypervisor.framework"

// trial asks the kernel whether it has virtualization for user programs
// (Hypervisor.framework's own way to tell). A machine that has it is Apple's, and there is
// no slow kind: nothing is timed.
func trial(context.Context) Result {
	r := Result{Device: device}
	switch has, err := unix.SysctlUint32("kern.hv_support"); {
	case err != nil:
		r.Reason = "kern.hv_support can't be read: " + err.Error()
	case has == 0:
		r.Reason = "this machine has no virtualization for user programs (kern.hv_support is 0)"
	default:
		r.Usable, r.Reason = true, "kern.hv_support is 1"
	}
	return r
}
