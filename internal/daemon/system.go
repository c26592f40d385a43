package daemon

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/engine"
	"aegis/internal/fault"
	"aegis/internal/image"
	"aegis/internal/kernel"
	"aegis/internal/paths"
)

// stageAge is how old unfinished work is that nobody goes on with.
const stageAge = 24 * time.Hour

// holding is one kind of files that a home holds.
type holding struct {
	name   string
	paths  []string                // all of it
	unused []string                // of paths, or below: what nothing needs
	remove func(path string) error // nil: engine.Discard
}

// templates is the holding that only the engine may remove from, and imageFiles one that
// it is told of.
const templates, imageFiles = "templates", "images"

// holdings lists all that is on disk. What a cache that other homes may use holds
// is needed, unless all.
func holdings(home paths.Home, cfg config.Config, needs engine.Needs, all bool) []holding {
	cache := []holding{
		{imageFiles, []string{home.Images()}, image.Unused(home.Images(), append(needs.Images, cfg.Image)), nil},
		{"layers of images", []string{home.Layers()}, image.Store{Dir: home.Images(), Layers: home.Layers()}.UnusedLayers(), nil},
		{"kernels", []string{home.Kernels()}, kernel.Unused(home.Kernels()), nil},
		{"blank disks", []string{home.Blank()}, image.UnusedBlanks(home.Blank(), append(needs.Disks, cfg.Disk, config.Default().Disk)), nil},
		{"unfinished work", []string{home.Stage()}, stale(home.Stage()), image.DiscardWork},
	}
	for i := range cache {
		if home.CacheShared() && !all {
			cache[i].unused = nil
		}
	}
	disks := holding{"instance disks", nil, below(home.Instances(), needs.Left), nil}
	logs := holding{"logs", []string{home.DaemonLog(), home.EarlierDaemonLog()}, nil, nil}
	for _, dir := range children(home.Instances()) {
		if slices.Contains(needs.Left, dir) {
			disks.paths = append(disks.paths, dir)
			continue
		}
		log := paths.Instance{Dir: dir}.Logs()
		logs.paths = append(logs.paths, log)
		disks.paths = append(disks.paths, slices.DeleteFunc(children(dir), func(p string) bool { return p == log })...)
	}
	return append(cache, disks, logs,
		holding{templates, []string{home.Templates()}, needs.Idle, nil},
		holding{"named workspaces", []string{home.Workspaces()}, nil, nil},
		holding{"temporary workspaces", []string{home.TemporaryWorkspaces()}, below(home.TemporaryWorkspaces(), needs.Left), nil},
		holding{"run directories", []string{home.Runs()}, below(home.Runs(), needs.Left), nil},
		holding{"registry and secrets", []string{home.Registry(), home.Registry() + "-wal", home.Registry() + "-shm", home.Secrets(), home.SecretKey(), home.Token()}, nil, nil})
}

// children are the paths of a directory's entries.
func children(dir string) (out []string) {
	entries, _ := os.ReadDir(dir) // a directory that is not there has none
	for _, e := range entries {
		out = append(out, filepath.Join(dir, e.Name()))
	}
	return out
}

// below are those of the paths that are in dir.
func below(dir string, all []string) (out []string) {
	for _, path := range all {
		if filepath.Dir(path) == dir {
			out = append(out, path)
		}
	}
	return out
}

// stale are the entries of a directory that are older than stageAge.
func stale(dir string) (out []string) {
	for _, path := range children(dir) {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > stageAge {
			out = append(out, path)
		}
	}
	return out
}

// DiskUse measures the holdings.
func (d *daemon) DiskUse(ctx context.Context) (client.DiskUse, error) {
	needs, err := d.engine.Needs(ctx)
	if err != nil {
		return client.DiskUse{}, err
	}
	return measure(ctx, d.home, holdings(d.home, d.config, needs, false)), ctx.Err()
}

func measure(ctx context.Context, home paths.Home, all []holding) client.DiskUse {
	use := client.DiskUse{Rows: []client.DiskRow{}, CacheShared: home.CacheShared()}
	for _, h := range all {
		m := newMeter(ctx)
		row := client.DiskRow{Name: h.name, Size: m.sizes(h.paths...), Reclaimable: newMeter(ctx).sizes(h.unused...), Partial: m.cut}
		use.Rows = append(use.Rows, row)
		use.Size += row.Size
		use.Reclaimable += row.Reclaimable
	}
	return use
}

// Prune removes what nothing needs. No set-up runs meanwhile, and no disk is made.
func (d *daemon) Prune(ctx context.Context, all bool) (client.Pruned, error) {
	d.assets.mu.Lock()
	defer d.assets.mu.Unlock()
	d.assets.blank.Lock()
	defer d.assets.blank.Unlock()
	needs, err := d.engine.Needs(ctx)
	if err != nil {
		return client.Pruned{}, err
	}
	held := holdings(d.home, d.config, needs, all)
	for i := range held {
		switch held[i].name {
		case templates:
			held[i].remove = d.engine.DiscardTemplate
		case imageFiles:
			held[i].remove = func(path string) error {
				d.engine.ForgetImage(image.DigestOf(path))
				return engine.Discard(path)
			}
		}
	}
	return remove(ctx, held)
}

// discard removes one of the paths.
func (h holding) discard(path string) error {
	if h.remove != nil {
		return h.remove(path)
	}
	return engine.Discard(path)
}

// remove goes on after what can't be removed, and says the first of these.
func remove(ctx context.Context, all []holding) (client.Pruned, error) {
	gone := client.Pruned{Removed: []client.Removed{}}
	var failed error
	for _, h := range all {
		for _, path := range h.unused {
			if ctx.Err() != nil {
				return gone, fault.New(fault.Cancelled, path, "remove what nothing needs", "%w", ctx.Err())
			}
			size := newMeter(ctx).sizes(path)
			if err := h.discard(path); err != nil {
				if failed == nil {
					failed = fault.New(fault.Internal, path, "remove what nothing needs", "%w", err)
				}
				continue
			}
			gone.Removed = append(gone.Removed, client.Removed{Name: h.name, Path: path, Size: size})
			gone.Freed += size
		}
	}
	return gone, failed
}
