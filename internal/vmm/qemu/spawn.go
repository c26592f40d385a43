package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"

	"aegis/internal/confine"
	"aegis/internal/undo"
	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// firstFD is the number of the first passed descriptor in the monitor: os/exec
// puts ExtraFiles behind the three standard streams.
const firstFD = 3

// passed are the files that a monitor gets, in the order of their numbers there.
type passed []*os.File

// pass gives the number that a file will have in the monitor.
func (p *passed) pass(f *os.File) int {
	if f == nil {
		return noFile
	}
	*p = append(*p, f)
	return firstFD + len(*p) - 1
}

// wires are what a monitor is connected by. The near ends are ours, and closed by
// their owners or by failed; the far ones are the monitor's, and closed by far.
type wires struct {
	console, stderr *os.File
	control         *net.UnixConn
	channels        *monitor.Channels
	files           passed
	plan            plan

	failed, far undo.Stack
}

// spawn starts a monitor for cfg. special adds what is not in every command line.
func (b *Backend) spawn(ctx context.Context, cfg vmm.Config, special func(*plan, func(*os.File) int)) (*machine, error) {
	bin, err := find(b.arch)
	if err != nil {
		return nil, err
	}
	var w wires
	defer func() { w.failed.Run() }()
	defer func() { w.far.Run() }()
	stderrEnd, err := w.connect(cfg)
	if err != nil {
		return nil, err
	}
	w.plan.board, w.plan.accel = boards[b.arch], b.accel()
	if special != nil {
		special(&w.plan, w.files.pass)
	}
	if !w.plan.waits { // else the template knows, and asking takes 30 ms
		if w.plan.major, err = bin.version(ctx); err != nil {
			return nil, err
		}
		w.plan.tscKHz = w.plan.board.clock()
	}
	cmd := exec.Command(string(bin))
	cmd.Args = append(cmd.Args, w.plan.command()...)
	cmd.ExtraFiles = w.files
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
	w.failed.Keep()
	w.far.Run()
	return newMachine(proc, cfg, &w), nil
}

// connect makes every stream between us and a monitor of cfg, and plans for them.
func (w *wires) connect(cfg vmm.Config) (stderrEnd *os.File, err error) {
	w.channels = monitor.NewChannels()
	w.failed.Add(w.channels.Close)
	var ends []*os.File
	for _, port := range monitor.Streams(cfg) {
		end, err := w.channels.Add(port)
		if err != nil {
			return nil, err
		}
		w.far.Add(func() { end.Close() })
		ends = append(ends, end)
	}
	w.plan = newPlan(cfg, ends, w.files.pass)
	console, consoleEnd, err := monitor.Pair("console")
	if err != nil {
		return nil, err
	}
	w.console, w.plan.console = console, w.files.pass(consoleEnd)
	w.failed.Add(func() { console.Close() })
	w.far.Add(func() { consoleEnd.Close() })
	control, controlEnd, err := monitor.ConnPair("control")
	if err != nil {
		return nil, err
	}
	w.control, w.plan.control = control, w.files.pass(controlEnd)
	w.failed.Add(func() { control.Close() })
	w.far.Add(func() { controlEnd.Close() })
	w.stderr, stderrEnd, err = os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	w.failed.Add(func() { w.stderr.Close() })
	w.far.Add(func() { stderrEnd.Close() })
	return stderrEnd, nil
}
