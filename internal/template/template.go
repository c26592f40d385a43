// Package template keeps templates on disk: directories in which a monitor has saved
// a VM, from which others are restored instead of booted.
//
// It owns a home's templates (paths.Home.Templates): one directory a key, private to
// the user, written under another name and renamed when whole, checked when it is
// taken, bounded in size, and removed when it fails; nothing is ever repaired. The
// engine calls it, with a function that fills a directory. The package knows no
// monitor and no VM, and what is in the files is their maker's affair: nothing in
// them may be a secret or belong to an instance.
//
// One process owns a cache at a time, which the daemon's lock sees to.
package template

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// Cache is the templates of one home. Its methods may be called by several
// goroutines at once.
type Cache struct {
	home  paths.Home
	limit int64 // bytes on disk, of all templates together

	mu      sync.Mutex
	using   map[string]int     // by key: templates that are taken
	making  map[string]*making // by key
	checked map[string]bool    // by key: digests were compared in this process's life
}

// Entry is one template, for those who list them.
type Entry struct {
	Key   string
	Path  string
	Size  int64     // bytes on disk
	Used  time.Time // when it was last taken, or made
	InUse bool      // a VM that was restored from it lives, or is being restored
}

// Open takes the templates of a home, which may use limit bytes of its disk. What an
// earlier process has left half made or half removed goes.
func Open(home paths.Home, limit int64) (*Cache, error) {
	dir := home.Templates()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Internal, dir, "open the templates", "%w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fault.New(fault.Internal, dir, "open the templates", "%w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.New(fault.Internal, dir, "open the templates", "%w", err)
	}
	for _, e := range entries {
		if paths.IsTemplateLeftover(e.Name()) {
			os.RemoveAll(filepath.Join(dir, e.Name())) // what stays is tried again at the next start
		}
	}
	return &Cache{home: home, limit: limit, using: map[string]int{}, making: map[string]*making{}, checked: map[string]bool{}}, nil
}

// List gives every template, the one that was used last first.
func (c *Cache) List() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list()
}

func (c *Cache) list() []Entry {
	names, _ := os.ReadDir(c.home.Templates()) // none, when it is gone
	var out []Entry
	for _, name := range names {
		key := name.Name()
		if paths.IsTemplateLeftover(key) {
			continue
		}
		dir := c.home.Template(key)
		info, err := os.Lstat(dir.Manifest())
		if err != nil {
			continue
		}
		out = append(out, Entry{Key: key, Path: dir.Dir, Size: onDisk(dir.Dir), Used: info.ModTime(), InUse: c.using[key] > 0})
	}
	slices.SortFunc(out, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return out
}

// Has reports whether there is a template of this key, without checking it.
func (c *Cache) Has(key string) bool {
	_, err := os.Lstat(c.home.Template(key).Manifest())
	return err == nil
}

// Drop removes a template that has failed, whoever uses it: what is open stays whole
// for its VM until that ends.
func (c *Cache) Drop(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(key)
}

// Remove removes a template unless it is in use, which is a fault.WrongState.
func (c *Cache) Remove(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.using[key] > 0 {
		return fault.New(fault.WrongState, key, "remove template "+key, "a virtual machine uses it")
	}
	return c.remove(key)
}

// remove takes the name away first, so that no half of a template is ever taken.
func (c *Cache) remove(key string) error {
	delete(c.checked, key)
	dir := c.home.Template(key)
	old := dir.Leaving()
	os.RemoveAll(old)
	err := os.Rename(dir.Dir, old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.RemoveAll(old)
	}
	if err != nil {
		return fmt.Errorf("remove template %q: %w", key, err)
	}
	return nil
}
