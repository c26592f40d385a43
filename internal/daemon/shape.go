package daemon

import (
	"context"

	"aegis/internal/engine"
	"aegis/internal/template"
	"aegis/internal/version"
	"aegis/internal/vmm/all"
)

// Shape is what a backend and its files give to the shape of what is made ahead, or false
// where the backend does not say which it could use.
func (a *assets) Shape(ctx context.Context, backend engine.Backend, files engine.Files) (template.Shape, bool) {
	monitor, err := all.Find(backend.Name, backend.Arch)
	if err != nil {
		return template.Shape{}, false
	}
	s := template.Shape{Aegis: version.Version, Backend: backend.Name, Arch: backend.Arch, Accelerator: backend.Accelerator}
	if s.Version, err = all.Version(ctx, monitor); err != nil {
		a.log.Warn("nothing is made ahead: the backend does not tell its version", "backend", backend.Name, "error", err)
		return template.Shape{}, false
	}
	for path, sum := range map[string]*string{files.Kernel: &s.Kernel, files.Initrd: &s.Initrd, files.Harness: &s.Harness} {
		if path == "" {
			continue
		}
		if *sum, err = a.digests.Of(path); err != nil {
			a.log.Warn("nothing is made ahead: a file can't be read", "file", path, "error", err)
			return template.Shape{}, false
		}
	}
	return s, true
}
