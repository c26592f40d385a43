package qemu

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"aegis/internal/confine"
	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// firstFD is the number of the first passed descriptor in the monitor: os/exec
// puts ExtraFiles behind the three standard streams.
const firstFD = 3

// Boot implements vmm.Backend. A monitor that starts and then refuses its
// configuration is seen on Done, with what it said in Err.
func (b *Backend) Boot(ctx context.Context, cfg vmm.Config) (vmm.VM, error) {
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("boot with qemu: %w", err)
	}
	vm, err := b.boot(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("boot with qemu: %w", err)
	}
	return vm, nil
}

func (b *Backend) boot(ctx context.Context, cfg vmm.Config) (*machine, error) {
	bin, err := find(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	major, err := bin.version(ctx)
	if err != nil {
		return nil, err
	}

	var failed, ours undo.Stack // ours: the monitor's ends, closed here in any case
	defer failed.Run()
	defer ours.Run()
	console, consoleEnd, err := pair("console")
	if err != nil {
		return nil, err
	}
	failed.Add(func() { console.Close() })
	ours.Add(func() { consoleEnd.Close() })
	channels := newChannels()
	failed.Add(channels.close)
	var ends []*os.File
	for _, port := range streams(cfg) {
		end, err := channels.add(port)
		if err != nil {
			return nil, err
		}
		ours.Add(func() { end.Close() })
		ends = append(ends, end)
	}
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	failed.Add(func() { stderr.Close() })
	ours.Add(func() { stderrEnd.Close() })

	cmd := exec.Command(string(bin))
	p := newPlan(cfg, consoleEnd, ends, func(f *os.File) int {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return firstFD + len(cmd.ExtraFiles) - 1
	})
	p.accel, p.major, p.tscKHz = b.accel(), major, tscKHz()
	cmd.Args = append(cmd.Args, p.command()...)
	cmd.Env = []string{} // not nil: nil would pass on ours
	cmd.Dir = cfg.Dir
	cmd.Stdout, cmd.Stderr = stderrEnd, stderrEnd
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	proc, err := start(cmd, confine.Rung(cfg.Confinement), b.accel())
	if err != nil {
		return nil, err
	}
	failed.Keep()
	ours.Run()
	return newMachine(proc, channels, relay(console, sink(cfg.Console)), relay(stderr, sink(cfg.Log))), nil
}

// streams are the channels that a VM gets: its ports, and its device's frames.
func streams(cfg vmm.Config) []vmm.Port {
	if cfg.NIC == nil {
		return cfg.Ports
	}
	return append(slices.Clone(cfg.Ports), vmm.PortNet)
}

// sink lets a caller leave out a writer.
func sink(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
