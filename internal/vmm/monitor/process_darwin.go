package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// Process is the monitor. It dies with us: the kernel offers nothing for that here, so
// that a guard, a process of this program, waits for the end of both.
type Process struct {
	PID    int
	Exited chan struct{}    // closed when it was reaped
	State  *os.ProcessState // set before Exited is closed

	cmd *exec.Cmd
}

// Start runs cmd in a session of its own, out of reach of the terminal's signals. This
// program passes its arguments to GuardMain.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, Exited: make(chan struct{})}
	guard, err := startGuard(p.PID)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("guard the process: %w", err)
	}
	go func() {
		cmd.Wait() // its error is in ProcessState
		p.State = cmd.ProcessState
		close(p.Exited)
		guard.Wait() // it has seen that end
	}()
	return p, nil
}

// startGuard starts the process that ends another when this one has ended.
func startGuard(pid int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, GuardWord, strconv.Itoa(os.Getpid()), strconv.Itoa(pid))
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// Kill ends the process at once. A process that has ended already is no error.
func (p *Process) Kill() { p.cmd.Process.Kill() }

// stopPoll bounds how often Stop looks.
const stopPoll = 2 * time.Millisecond

// stopped is the state of a process that a signal has stopped (SSTOP, sys/proc.h).
const stopped = 4

// Stop sends SIGSTOP and returns when the process has stopped. When ctx ends before, it
// goes on.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, stopPoll) {
		info, err := unix.SysctlKinfoProc("kern.proc.pid", p.PID)
		if err != nil {
			return fmt.Errorf("wait for the stop of process %d: %w", p.PID, err)
		}
		if info.Proc.P_stat == stopped {
			return nil
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
