package qemu

import (
	"fmt"
	"os/exec"

	"aegis/internal/confine"
	"aegis/internal/vmm/monitor"
)

// start runs cmd, held by that rung.
func start(cmd *exec.Cmd, rung confine.Rung, accel Accel) (*monitor.Process, error) {
	program := cmd.Path
	staged, err := confine.Stage(cmd, confine.Stay{Rung: rung, Needs: binary(program).needs(accel), Writes: memory(cmd.Args)})
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", program, err)
	}
	defer staged()
	p, err := monitor.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", program, err)
	}
	return p, nil
}
