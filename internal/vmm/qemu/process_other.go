//go:build !linux

package qemu

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"aegis/internal/confine"
)

// errLinux refuses hosts where nothing ends the monitor with its owner.
var errLinux = errors.New("this backend runs on Linux only")

type process struct {
	pid    int
	exited chan struct{}
	state  *os.ProcessState
}

func start(*exec.Cmd, confine.Rung, Accel) (*process, error) { return nil, errLinux }
func socketpair() ([2]int, error)                            { return [2]int{}, errLinux }
func (p *process) kill()                                     {}
func (p *process) stop(context.Context) error                { return errLinux }
func (p *process) cont() error                               { return errLinux }
