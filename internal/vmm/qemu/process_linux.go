package qemu

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

	"aegis/internal/confine"
	"aegis/internal/vmm"
)

// process is the monitor. It dies with us: the kernel sends it SIGKILL when the
// thread that started it ends (prctl(2), PR_SET_PDEATHSIG), so that thread is
// locked to a goroutine which waits for the process and does nothing else.
type process struct {
	pid    int
	cmd    *exec.Cmd
	exited chan struct{}    // closed when it was reaped
	state  *os.ProcessState // set before exited is closed
}

// start runs cmd, held by that rung, in a session of its own, out of reach of the
// terminal's signals.
func start(cmd *exec.Cmd, rung confine.Rung, accel Accel) (*process, error) {
	program := cmd.Path
	staged, err := confine.Stage(cmd, rung, binary(program).needs(accel), memory(cmd.Args))
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", program, err)
	}
	defer staged()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: see process
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		cmd.Wait() // its error is in ProcessState
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %q: %w", program, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// kill ends the process at once. A process that has ended already is no error.
func (p *process) kill() { p.cmd.Process.Kill() }

// stopPoll bounds how often stop looks: a stop takes from 0.1 to 40 ms.
const stopPoll = 2 * time.Millisecond

// stop sends SIGSTOP and returns when every thread has stopped. When ctx ends
// before, the process goes on.
func (p *process) stop(ctx context.Context) error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, stopPoll) {
		stopped, err := p.stopped()
		if stopped || err != nil {
			return err
		}
		select {
		case <-p.exited:
			return vmm.ErrEnded
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.cont())
		case <-time.After(wait):
		}
	}
}

// stopped asks the kernel whether the whole process has stopped. WNOWAIT leaves
// the answer there for the next time; exits are not asked for, so that only the
// goroutine of start reaps.
func (p *process) stopped() (bool, error) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	switch {
	case errors.Is(err, unix.EINTR):
		return false, nil
	case errors.Is(err, unix.ECHILD):
		return false, vmm.ErrEnded
	case err != nil:
		return false, fmt.Errorf("wait for the stop of process %d: %w", p.pid, err)
	}
	return info.Signo != 0, nil
}

// cont undoes stop.
func (p *process) cont() error { return p.signal(unix.SIGCONT) }

func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return vmm.ErrEnded
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}
