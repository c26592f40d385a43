package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// Boot implements vmm.Backend. A monitor that starts and then refuses its
// configuration is seen on Done, with what it said in Err.
func (b *Backend) Boot(ctx context.Context, cfg vmm.Config) (vmm.VM, error) {
	if err := cfg.CheckBoot(b.Caps()); err != nil {
		return nil, fmt.Errorf("boot with qemu: %w", err)
	}
	vm, err := b.boot(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("boot with qemu: %w", err)
	}
	return vm, nil
}

func (b *Backend) boot(ctx context.Context, cfg vmm.Config) (*machine, error) {
	if cfg.Template == "" {
		return b.spawn(ctx, cfg, nil)
	}
	var u undo.Stack
	defer u.Run()
	path := filepath.Join(cfg.Template, ramFile)
	ram, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the template's memory: %w", err)
	}
	defer ram.Close()
	u.Add(func() { os.Remove(path) })
	if err := ram.Truncate(cfg.Memory); err != nil {
		return nil, fmt.Errorf("make the template's memory: %w", err)
	}
	m, err := b.spawn(ctx, cfg, func(p *plan, pass func(*os.File) int) { p.ram = &ramArg{pass(ram), true} })
	if err != nil {
		return nil, err
	}
	u.Keep()
	return m, nil
}
