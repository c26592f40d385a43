package monitor

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// Start runs cmd. The kernel sends it SIGKILL when the thread that started it ends
// (prctl(2), PR_SET_PDEATHSIG), so that thread is locked to a goroutine which waits for the
// process and does nothing else. The process stays in this one's session, which is what
// the kernel gives a share of the processors (sched(7), "The autogroup feature").
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	p := &Process{cmd: cmd, Exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
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
