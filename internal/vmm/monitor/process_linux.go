package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// Process is the monitor. It dies with us: the kernel sends it SIGKILL when the
// thread that started it ends (prctl(2), PR_SET_PDEATHSIG), so that thread is
// locked to a goroutine which waits for the process and does nothing else.
type Process struct {
	PID    int
	Exited chan struct{}    // closed when it was reaped
	State  *os.ProcessState // set before Exited is closed

	cmd *exec.Cmd
}

// Start runs cmd in a session of its own, out of reach of the terminal's signals.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	p := &Process{cmd: cmd, Exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: see Process
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		cmd.Wait() // its error is in ProcessState
		p.State = cmd.ProcessState
		close(p.Exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.PID = cmd.Process.Pid
	return p, nil
}

// Kill ends the process at once. A process that has ended already is no error.
func (p *Process) Kill() { p.cmd.Process.Kill() }

// stopPoll bounds how often stop looks: a stop takes from 0.1 to 40 ms.
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

// stopped asks the kernel whether the whole process has stopped. WNOWAIT leaves
// the answer there for the next time; exits are not asked for, so that only the
// goroutine of Start reaps.
func (p *Process) stopped() (bool, error) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	switch {
	case errors.Is(err, unix.EINTR):
		return false, nil
	case errors.Is(err, unix.ECHILD):
		return false, vmm.ErrEnded
	case err != nil:
		return false, fmt.Errorf("wait for the stop of process %d: %w", p.PID, err)
	}
	return info.Signo != 0, nil
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
