//go:build !linux

package monitor

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// errLinux refuses hosts where nothing ends the monitor with its owner.
var errLinux = errors.New("this backend runs on Linux only")

// Process is none here.
type Process struct {
	PID    int
	Exited chan struct{}
	State  *os.ProcessState
}

// Start refuses.
func Start(*exec.Cmd) (*Process, error) { return nil, errLinux }

// Kill does nothing.
func (p *Process) Kill() {}

// Stop refuses.
func (p *Process) Stop(context.Context) error { return errLinux }

// Cont refuses.
func (p *Process) Cont() error { return errLinux }

func socketpair() ([2]int, error) { return [2]int{}, errLinux }
