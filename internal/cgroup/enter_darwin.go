package cgroup

import (
	"errors"
	"os/exec"
)

// Enter fails: groups are Linux's. A nil group is none.
func (g *Group) Enter(*exec.Cmd) error {
	if g == nil {
		return nil
	}
	return errors.New("control groups are Linux's")
}
