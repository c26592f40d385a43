package monitor

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start runs cmd. The kernel offers nothing here that ends it with us, so that a guard, a
// process of this program, waits for the end of both: this program passes its arguments
// to GuardMain.
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

// hasStopped is the state of a process that a signal has stopped (SSTOP, sys/proc.h).
const hasStopped = 4

func (p *Process) stopped() (bool, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", p.PID)
	if err != nil {
		return false, fmt.Errorf("wait for the stop of process %d: %w", p.PID, err)
	}
	return info.Proc.P_stat == hasStopped, nil
}
