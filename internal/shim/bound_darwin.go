package shim

import (
	"os/exec"
	"syscall"
)

// startBound starts a child. Here the pipe that the child watches is what ends it
// with us.
func startBound(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
