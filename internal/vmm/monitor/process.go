package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// Process is the monitor, in a session of its own, out of reach of the terminal's
// signals. It dies with us, by what Start does for that.
type Process struct {
	PID    int
	Exited chan struct{}    // closed when it was reaped
	State  *os.ProcessState // set before Exited is closed

	cmd *exec.Cmd
}

// Kill ends the process at once. A process that has ended already is no error.
func (p *Process) Kill() { p.cmd.Process.Kill() }

// stopPoll bounds how often Stop looks: a stop takes from 0.1 to 40 ms.
const stopPoll = 2 * time.Millisecond

// Stop sends SIGSTOP and returns when every thread has stopped. When ctx ends
// before, the process goes on.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, stopPoll) {
		stopped, err := p.stopped()
		if stopped || err != nil {
			return err
		}
		select {
		case <-p.Exited:
			return vmm.ErrEnded
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.Cont())
		case <-time.After(wait):
		}
	}
}

// Cont undoes Stop.
func (p *Process) Cont() error { return p.signal(unix.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return vmm.ErrEnded
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}
