package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Needs is what the records refer to, and what lies about that none knows.
type Needs struct {
	Images []string // references, and digests of the roots in use
	Disks  []int64  // sizes of writable layers, in bytes
	Idle   []string // directories of templates that no VM uses
	Left   []string // directories of instances, runs and temporary workspaces that no record knows
}

// leftAge is when a directory without a record counts as left behind: a new
// instance's workspace is there before its record, by the time of its checks.
const leftAge = time.Hour

// Needs reads every record, once what was dismissed is gone. As Open does, it leaves instances on disk alone while
// the registry is empty.
func (e *Engine) Needs(ctx context.Context) (Needs, error) {
	if err := e.emptied(ctx); err != nil {
		return Needs{}, err
	}
	records, err := e.Store.List(ctx)
	if err != nil {
		return Needs{}, err
	}
	var n Needs
	known := map[string]bool{}
	for _, rec := range records {
		known[rec.ID], known[rec.Run] = true, true
		n.Images = append(n.Images, rec.Spec.Image, rec.Image)
		n.Disks = append(n.Disks, rec.Spec.Disk)
	}
	n.Idle = e.idleTemplates()
	for _, dir := range []string{e.Home.Runs(), e.Home.Instances(), e.Home.TemporaryWorkspaces()} {
		if len(records) == 0 && dir != e.Home.Runs() {
			continue
		}
		for _, name := range names(dir) {
			path := filepath.Join(dir, name)
			if !known[name] && abandoned(path) && (dir != e.Home.Runs() || !answers(e.Home.Run(name).Socket())) {
				n.Left = append(n.Left, path)
			}
		}
	}
	return n, nil
}

// abandoned reports whether nobody has put anything into dir for leftAge.
func abandoned(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && time.Since(info.ModTime()) > leftAge
}

// answers reports whether somebody listens at a shim's socket.
func answers(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Discard removes a file, or a directory and all below it, also what a guest has
// protected against its owner. It follows no symbolic link.
func Discard(path string) error { return erase(path) }
