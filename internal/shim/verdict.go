package shim

import (
	"context"
	"errors"
	"strings"
	"time"

	"aegis/internal/instance"
	"aegis/internal/vmm"
)

// verdict says how this life ended.
func (r *run) verdict() instance.Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	exit := instance.Exit{At: time.Now().UTC()}
	if r.main != nil {
		exit.Code, exit.Signal = r.main.Code, r.main.Signal
	}
	message, panicked := r.console.Panicked()
	switch {
	case r.saved:
		exit.Reason = instance.Saved
	case r.asked != "":
		exit.Reason = r.asked
	case r.main != nil && r.main.OOM:
		exit.Reason = instance.OutOfMem
	case r.main != nil:
		exit.Reason = instance.Exited
	case r.start != started:
		exit.Reason, exit.Error = instance.BootFailed, r.bootFailure()
	case panicked:
		exit.Reason, exit.Error = instance.GuestPanic, message
	default:
		exit.Reason, exit.Error = instance.VMDied, r.deathCause()
	}
	return exit
}

// bootFailure is what a person needs to understand a boot that failed.
func (r *run) bootFailure() string {
	why := "the guest ended before its command began"
	switch {
	case r.failure != "":
		why = r.failure
	case r.bootErr != nil && !errors.Is(r.bootErr, context.Canceled):
		why = r.bootErr.Error()
		if r.vm != nil && r.vm.Err() != nil && !errors.Is(r.vm.Err(), vmm.ErrClosed) {
			why += "; " + r.vm.Err().Error()
		}
	case r.vm != nil && r.vm.Err() != nil:
		why = r.vm.Err().Error()
	}
	if tail := r.console.Tail(8); len(tail) > 0 {
		why += "; the guest's console ends with: " + strings.Join(tail, " | ")
	}
	return why
}

func (r *run) deathCause() string {
	switch err := r.vm.Err(); {
	case r.failure != "":
		return r.failure
	case err == nil:
		return "the guest switched itself off"
	default:
		return err.Error()
	}
}
