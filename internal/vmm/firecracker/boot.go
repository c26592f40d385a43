package firecracker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// Boot implements vmm.Backend. It returns when the monitor has started the guest.
func (b *Backend) Boot(ctx context.Context, cfg vmm.Config) (vmm.VM, error) {
	m, err := b.boot(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("boot with firecracker: %w", err)
	}
	return m, nil
}

func (b *Backend) boot(ctx context.Context, cfg vmm.Config) (*machine, error) {
	if err := cfg.CheckBoot(caps); err != nil {
		return nil, err
	}
	if err := checkNumbers(cfg.Ports); err != nil {
		return nil, err
	}
	var u, files undo.Stack
	defer u.Run()
	defer files.Run()
	kernel, err := unpackInto(cfg.Dir, cfg.Kernel, &files)
	if err != nil {
		return nil, err
	}
	var ram, state *os.File
	if cfg.Template != "" {
		if ram, state, err = makeTemplate(cfg.Template, &u, &files); err != nil {
			return nil, err
		}
	}
	var save snapshotCreate
	var kernelPath, initrdPath string
	m, err := b.spawn(ctx, cfg, func(p *passed) {
		kernelPath, initrdPath = p.pass(kernel), p.pass(cfg.Initrd)
		if ram != nil {
			save = snapshotCreate{Type: snapshotType(), State: p.pass(state), Memory: p.pass(ram)}
		}
	})
	if err != nil {
		return nil, err
	}
	u.Add(func() { m.Close() })
	m.save = save
	for _, r := range machineRequests(cfg, kernelPath, initrdPath) {
		if err := m.api.put(ctx, r.path, r.body); err != nil {
			return nil, m.lastWords(err)
		}
	}
	u.Keep()
	return m, nil
}

// unpackInto makes the kernel's file in a VM's directory. It is needed until the guest
// has been started.
func unpackInto(dir string, image *os.File, files *undo.Stack) (*os.File, error) {
	path := filepath.Join(dir, kernelFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	files.Add(func() { f.Close(); os.Remove(path) })
	if err := unpackKernel(f, image); err != nil {
		return nil, err
	}
	return f, nil
}
