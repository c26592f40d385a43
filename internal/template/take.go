package template

import (
	"os"
	"sync/atomic"
	"time"
)

// Template is one that was taken: it stays until Release.
type Template struct {
	Key string
	Dir string // absolute; nothing in it may be changed

	cache    *Cache
	released atomic.Bool
}

// Take gives the template of a key, checked, or false when there is none. One that
// is damaged is removed, and is a fault.AssetDamaged.
//
// What is checked: the manifest, that its files and no others are there, and of each its
// size, inode and the times of its last change; and once in the life of this process
// their digests, of large ones (the memory) by samples.
func (c *Cache) Take(key string) (*Template, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Has(key) {
		return nil, false, nil
	}
	dir := c.home.Template(key)
	if err := check(dir, key, !c.checked[key]); err != nil {
		c.remove(key) // what stays is refused again
		return nil, false, err
	}
	c.checked[key] = true
	now := time.Now()
	os.Chtimes(dir.Manifest(), now, now) // for the order of eviction; worth no failure
	return c.hold(key), true, nil
}

// Hold marks the template of a VM that was restored by an earlier process as used.
// It checks nothing, and need not exist any more.
func (c *Cache) Hold(key string) *Template {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hold(key)
}

func (c *Cache) hold(key string) *Template {
	c.using[key]++
	return &Template{Key: key, Dir: c.home.Template(key).Dir, cache: c}
}

// Release says that the VM is gone, or was never made. It is idempotent; a nil
// Template is released already.
func (t *Template) Release() {
	if t == nil || t.released.Swap(true) {
		return
	}
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	if t.cache.using[t.Key]--; t.cache.using[t.Key] <= 0 {
		delete(t.cache.using, t.Key)
	}
}
