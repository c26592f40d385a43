package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Enter makes a command that was not started begin in the group (clone3(2),
// CLONE_INTO_CGROUP): no child of its ever is outside. The caller closes the group after
// its start. A nil group is none.
func (g *Group) Enter(cmd *exec.Cmd) error {
	if g == nil {
		return nil
	}
	f, err := os.Open(g.Dir)
	if err != nil {
		return fmt.Errorf("open the group: %w", err)
	}
	g.file = f
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
	return nil
}
