package krun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"aegis/internal/confine"
	"aegis/internal/undo"
	"aegis/internal/vmm"
	"aegis/internal/vmm/krun/order"
	"aegis/internal/vmm/monitor"
)

// Boot implements vmm.Backend. It returns when the process has set the VM up and is about
// to run it; what libkrun refuses then is seen on Done.
func (b *Backend) Boot(ctx context.Context, cfg vmm.Config) (vmm.VM, error) {
	m, err := b.boot(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("boot with libkrun: %w", err)
	}
	return m, nil
}

func (b *Backend) boot(ctx context.Context, cfg vmm.Config) (*machine, error) {
	if err := check(cfg, b.Caps()); err != nil {
		return nil, err
	}
	w, err := find()
	if err != nil {
		return nil, err
	}
	var p plan
	defer p.failed.Run()
	defer p.far.Run()
	if err := p.connect(w, cfg); err != nil {
		return nil, err
	}
	cmd, err := p.command(w, cfg)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	proc, err := start(cmd, w, confine.Rung(cfg.Confinement), p.opened)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", w.path, err)
	}
	p.failed.Keep()
	p.far.Run()
	m := newMachine(proc, cfg, &p)
	if err := m.await(ctx, p.ready); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// firstFD is the number of the first passed descriptor in the process: os/exec puts
// ExtraFiles behind the three standard streams.
const firstFD = 3

// plan is what a process is born with. The near ends are ours, and closed by their
// owners or by failed; the far ones are the process's, and closed by far.
type plan struct {
	order    order.Order
	files    []*os.File
	opened   []int // descriptors that are opened anew
	channels *monitor.Channels
	ready    *os.File
	stderr   *os.File
	far      undo.Stack
	failed   undo.Stack

	stderrEnd *os.File
}

// pass gives the number that a file will have in the process.
func (p *plan) pass(f *os.File) int {
	p.files = append(p.files, f)
	return firstFD + len(p.files) - 1
}

// pipe makes a pipe whose near end reads.
func (p *plan) pipe() (near, far *os.File, err error) {
	if near, far, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	p.failed.Add(func() { near.Close() })
	p.far.Add(func() { far.Close() })
	return near, far, nil
}

// connect makes every stream between us and the process, and orders the VM.
func (p *plan) connect(w worker, cfg vmm.Config) error {
	p.order = order.Order{Libkrun: w.libraries.Libkrun, Libkrunfw: w.libraries.Libkrunfw, CPUs: cfg.CPUs, Memory: cfg.Memory, Args: cfg.Args}
	for _, d := range cfg.Disks {
		n := p.pass(d.File)
		p.opened = append(p.opened, n)
		p.order.Disks = append(p.order.Disks, order.Disk{Serial: d.Serial, Path: fmt.Sprintf("/proc/self/fd/%d", n), ReadOnly: d.ReadOnly})
	}
	p.order.Harness = p.pass(cfg.Harness)
	p.channels = monitor.NewChannels()
	p.failed.Add(p.channels.Close)
	for _, port := range monitor.Streams(cfg) {
		end, err := p.channels.Add(port)
		if err != nil {
			return err
		}
		p.far.Add(func() { end.Close() })
		if fd := p.pass(end); cfg.NIC != nil && port == vmm.PortNet {
			p.order.NIC = &order.NIC{MAC: [6]byte(cfg.NIC.MAC), FD: fd}
		} else {
			p.order.Ports = append(p.order.Ports, order.Port{Name: port.Name, FD: fd})
		}
	}
	var readyEnd *os.File
	var err error
	if p.ready, readyEnd, err = p.pipe(); err != nil {
		return err
	}
	p.order.Ready = p.pass(readyEnd)
	p.stderr, p.stderrEnd, err = p.pipe()
	return err
}

// command is the process, with its order on standard input.
func (p *plan) command(w worker, cfg vmm.Config) (*exec.Cmd, error) {
	text, err := p.order.Encode()
	if err != nil {
		return nil, err
	}
	in, inEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	p.far.Add(func() { in.Close() })
	_, err = inEnd.Write(text) // it has room for all
	if err := errors.Join(err, inEnd.Close()); err != nil {
		return nil, fmt.Errorf("order a VM: %w", err)
	}
	cmd := exec.Command(w.path)
	cmd.ExtraFiles = p.files
	cmd.Env = []string{} // not nil: nil would pass on ours
	cmd.Dir = cfg.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, p.stderrEnd, p.stderrEnd
	return cmd, nil
}

// start runs cmd, held by that rung.
func start(cmd *exec.Cmd, w worker, rung confine.Rung, opened []int) (*monitor.Process, error) {
	staged, err := confine.Stage(cmd, confine.Stay{Rung: rung, Needs: w.needs(), Files: opened})
	if err != nil {
		return nil, err
	}
	defer staged()
	return monitor.Start(cmd)
}

// await returns when the process says that it is about to run the VM.
func (m *machine) await(ctx context.Context, ready *os.File) error {
	defer ready.Close()
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	_, err := io.ReadFull(ready, make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	<-m.Done() // it has closed its end
	if err := m.Err(); err != nil {
		return err
	}
	return vmm.ErrEnded
}
