package shim

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startBound starts a child that the kernel kills when this process dies, however
// it dies (prctl(2), PR_SET_PDEATHSIG). The signal is bound to the thread that
// forked, so that thread is kept until the process ends.
func startBound(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		result <- err
		if err == nil {
			select {} // the thread lives as long as the process
		}
	}()
	return <-result
}
