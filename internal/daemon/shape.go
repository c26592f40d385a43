package daemon

import (
	"context"

	"aegis/internal/engine"
	"aegis/internal/template"
	"aegis/internal/version"
	"aegis/internal/vmm/all"
)

// Shape is what a backend and its files give to the shape of a template, or false
// where the backend makes none, or does not say which it could restore.
func (a *assets) Shape(ctx context.Context, backend engine.Backend, files engine.Files) (template.Shape, bool) {
	monitor, err := all.Find(backend.Name)
	if err != nil {
		return template.Shape{}, false
	}
	snapshots, ok := monitor.Snapshots()
	if !ok {
		return template.Shape{}, false
	}
	s := template.Shape{Aegis: version.Version, Backend: backend.Name, Accelerator: backend.Accelerator}
	if s.Version, err = snapshots.Version(ctx); err != nil {
		a.log.Warn("no templates: the backend does not tell its version", "backend", backend.Name, "error", err)
		return template.Shape{}, false
	}
	for path, sum := range map[string]*string{files.Kernel: &s.Kernel, files.Initrd: &s.Initrd} {
		if *sum, err = a.digests.Of(path); err != nil {
			a.log.Warn("no templates: a file can't be read", "file", path, "error", err)
			return template.Shape{}, false
		}
	}
	return s, true
}
