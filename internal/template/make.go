package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

// making is a template that is being made; err is constant once done is closed.
type making struct {
	done chan struct{}
	err  error
}

// reserve is what stays free on the disk beside a template, in bytes: starts need
// some (engine.Reserve), and a monitor's own state is a few MiB.
const reserve = 512 << 20

// Make makes the template of a shape, unless there is one, by a function that fills an
// empty directory with files and leaves nothing running. Whoever asks for one that is
// being made waits for it. A disk without room for the shape's memory is refused before
// anything is made, a fault.NoSpace. On an error nothing is left. Then the templates that
// were used least recently go, until the rest keeps the limit.
func (c *Cache) Make(ctx context.Context, shape Shape, fill func(ctx context.Context, dir string) error) error {
	key := shape.Key()
	c.mu.Lock()
	if c.Has(key) {
		c.mu.Unlock()
		return nil
	}
	if m := c.making[key]; m != nil {
		c.mu.Unlock()
		select {
		case <-m.done:
			return m.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	m := &making{done: make(chan struct{})}
	c.making[key] = m
	c.mu.Unlock()
	err := c.make(ctx, shape, key, fill)
	if errors.Is(err, unix.ENOSPC) {
		err = fault.New(fault.NoSpace, c.home.Templates(), "make a template", "%w", err)
	}
	c.mu.Lock()
	m.err = err
	delete(c.making, key)
	c.mu.Unlock()
	close(m.done)
	return err
}

func (c *Cache) make(ctx context.Context, shape Shape, key string, fill func(context.Context, string) error) error {
	var u undo.Stack
	defer u.Run()
	if err := c.room(shape.Memory); err != nil {
		return err
	}
	whole := c.home.Template(key)
	draft := whole.Unfinished()
	os.RemoveAll(draft.Dir)
	if err := os.Mkdir(draft.Dir, 0o700); err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	u.Add(func() { os.RemoveAll(draft.Dir) })
	if err := fill(ctx, draft.Dir); err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("make a template: %w", context.Cause(ctx))
	}
	if err := seal(draft, shape); err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	if size := onDisk(draft.Dir); size > c.limit {
		return fault.New(fault.NoSpace, c.home.Templates(), "make a template", "it has %d MiB, and template-disk allows %d MiB", size>>20, c.limit>>20)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	os.Chtimes(draft.Manifest(), now, now) // the kernel's stamps are coarser than those of Take
	if err := os.Rename(draft.Dir, whole.Dir); err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	u.Keep()
	c.evict(key)
	return durable.Sync(c.home.Templates())
}

// room refuses what the disk has no place for.
func (c *Cache) room(memory int64) error {
	var st unix.Statfs_t
	dir := c.home.Templates()
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at the free space of %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < memory+reserve { //nolint:unconvert // the types differ by OS
		return fault.New(fault.NoSpace, dir, "make a template", "the disk that holds %s has %d MiB left, and it needs %d MiB",
			dir, free>>20, (memory+reserve)>>20)
	}
	return nil
}

// evict removes those that were used least recently, until the rest keeps the limit;
// never one in use, nor the one that was just made.
func (c *Cache) evict(keep string) {
	list := c.list()
	var total int64
	for _, e := range list {
		total += e.Size
	}
	for i := len(list) - 1; i >= 0 && total > c.limit; i-- {
		if e := list[i]; !e.InUse && e.Key != keep && c.remove(e.Key) == nil {
			total -= e.Size
		}
	}
}

// onDisk is what a directory of files takes of the disk, in bytes.
func onDisk(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += blocks(info)
		}
	}
	return size
}

// blocks is what a file takes of the disk, in bytes.
func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512 // stat(2)
	}
	return info.Size()
}
