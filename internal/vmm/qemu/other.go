//go:build !linux

package qemu

import (
	"errors"
	"os/exec"

	"aegis/internal/confine"
	"aegis/internal/vmm/monitor"
)

// errLinux refuses hosts where nothing ends the monitor with its owner.
var errLinux = errors.New("this backend runs on Linux only")

func start(*exec.Cmd, confine.Rung, Accel) (*monitor.Process, error) { return nil, errLinux }
