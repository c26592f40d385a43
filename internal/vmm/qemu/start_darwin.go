package qemu

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"aegis/internal/confine"
	"aegis/internal/vmm/monitor"
)

// prefixes are where package managers put QEMU and its libraries.
var prefixes = []string{"/opt/homebrew", "/usr/local", "/opt/local"}

// start runs cmd, held by that rung. Hypervisor.framework asks for an entitlement, which
// Homebrew's QEMU has.
func start(cmd *exec.Cmd, rung confine.Rung, _ Accel) (*monitor.Process, error) {
	program := cmd.Path
	staged, err := confine.Stage(cmd, confine.Stay{Rung: rung, Needs: needs(program), Named: named(cmd.Args)})
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

// needs is what an emulator opens by itself: libraries, firmware, random bytes.
func needs(program string) []confine.Need {
	list := []confine.Need{{Path: "/dev/urandom", Kind: confine.Device},
		{Path: filepath.Clean(filepath.Join(filepath.Dir(program), "../share/qemu")), Kind: confine.Read}}
	for _, prefix := range prefixes {
		for _, dir := range []string{"Cellar", "opt", "lib", "share/qemu"} {
			list = append(list, confine.Need{Path: filepath.Join(prefix, dir), Kind: confine.Libraries})
		}
	}
	return list
}

// named are the files that a command line names.
func named(args []string) (out []string) {
	for i, arg := range args[:max(0, len(args)-1)] {
		if arg == "-kernel" || arg == "-initrd" {
			out = append(out, args[i+1])
		}
	}
	return out
}
