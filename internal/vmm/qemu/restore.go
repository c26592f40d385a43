package qemu

import (
	"context"
	"fmt"
	"os"

	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// snapshotter implements vmm.Snapshotter.
type snapshotter struct{ b *Backend }

// Snapshots implements vmm.Backend.
func (b *Backend) Snapshots() (vmm.Snapshotter, bool) { return snapshotter{b}, templates }

// Restore implements vmm.Snapshotter. An error that is vmm.ErrTemplate means that no
// other Restore will do better.
func (s snapshotter) Restore(ctx context.Context, dir string, cfg vmm.Config) (vmm.VM, error) {
	if err := cfg.Check(s.b.Caps()); err != nil {
		return nil, fmt.Errorf("restore with qemu: %w", err)
	}
	vm, err := s.b.restore(ctx, dir, cfg)
	if err != nil {
		return nil, fmt.Errorf("restore with qemu: %w", err)
	}
	return vm, nil
}

func (b *Backend) restore(ctx context.Context, dir string, cfg vmm.Config) (*machine, error) {
	t, err := openTemplate(dir, cfg.Memory)
	if err != nil {
		return nil, err
	}
	defer t.close()
	cfg.Kernel, cfg.Initrd, cfg.Args, cfg.Template = nil, nil, nil, ""
	var state int
	m, err := b.spawn(ctx, cfg, func(p *plan, pass func(*os.File) int) {
		p.ram, p.waits, p.major = &ramArg{pass(t.ram), false}, true, t.manifest.Major
		state = pass(t.state)
	})
	if err != nil {
		return nil, err
	}
	var u undo.Stack
	defer u.Run()
	u.Add(func() { m.Close() })
	if err := m.load(ctx, state, func() error { return t.verify(boards[b.arch].clock) }); err != nil {
		return nil, err
	}
	u.Keep()
	return m, nil
}

// load has a monitor that waits read the state, and the guest go on. The monitor ends
// when it can't read it.
func (m *machine) load(ctx context.Context, state int, verify func() error) error {
	verified := make(chan error, 1)
	defer func() { <-verified }() // it uses files that the caller closes
	go func() { defer close(verified); verified <- verify() }()
	read, err := m.control.send(nil, useTemplates(), command{Execute: "migrate-incoming", Arguments: args{"uri": fmt.Sprintf("fd:%d", state)}})
	if err == nil {
		err = read.wait(ctx)
	}
	if err == nil {
		err = m.migrated(ctx)
	}
	if err == nil {
		err = <-verified
	}
	if err == nil {
		err = m.control.run(ctx, nil, append(m.resizes(), command{Execute: "cont"})...)
	}
	return m.lastWords(err)
}

// useTemplates leaves the memory out of a state, and has its progress told. Both
// sides must say so.
func useTemplates() command {
	capability := func(name string) args { return args{"capability": name, "state": true} }
	return command{Execute: "migrate-set-capabilities",
		Arguments: args{"capabilities": []args{capability("x-ignore-shared"), capability("events")}}}
}

// resizes has the guest learn the sizes of the disks that it may write: the template's
// had others. QEMU 10 refuses that of a disk that is inactive, as all are until the
// guest goes on; older ones know neither.
func (m *machine) resizes() []command {
	var out []command
	if m.major >= 10 {
		out = append(out, command{Execute: "blockdev-set-active", Arguments: args{"active": true}})
	}
	for i, d := range m.disks {
		if !d.readOnly && d.size >= 0 {
			out = append(out, resize(i, d.size))
		}
	}
	return out
}

// resize tells guest and monitor the size in bytes of what is behind the ith disk.
func resize(i int, size int64) command {
	return command{Execute: "block_resize", Arguments: args{"node-name": diskNode(i), "size": size}}
}
