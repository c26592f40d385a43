package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// place is a home in a temporary directory.
func place(t *testing.T) paths.Home {
	t.Helper()
	return paths.Home{Dir: t.TempDir()}
}

func open(t *testing.T, home paths.Home, limit int64) *Cache {
	t.Helper()
	c, err := Open(home, limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shape is one of many different ones.
func shape(n int) Shape { return Shape{Backend: "fake", CPUs: n, Memory: 1 << 20} }

// write is a maker that leaves a state and a memory of so many bytes.
func write(bytesOfMemory int) func(context.Context, string) error {
	return func(_ context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "state"), []byte("state"), 0o644); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "memory"), bytes.Repeat([]byte{7}, bytesOfMemory), 0o644)
	}
}

func made(t *testing.T, c *Cache, s Shape, size int) {
	t.Helper()
	if err := c.Make(t.Context(), s, write(size)); err != nil {
		t.Fatal(err)
	}
}

// taken takes a template that has to be there.
func taken(t *testing.T, c *Cache, s Shape) *Template {
	t.Helper()
	tpl, ok, err := c.Take(s.Key())
	if err != nil || !ok {
		t.Fatalf("take: %v, %v", ok, err)
	}
	return tpl
}

// left are the names in a home's templates.
func left(t *testing.T, home paths.Home) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(home.Templates())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestKeyHoldsAll changes each field of a shape in turn: none may be forgotten.
func TestKeyHoldsAll(t *testing.T) {
	seen := map[string]string{(Shape{}).Key(): "nothing"}
	for i := range reflect.TypeFor[Shape]().NumField() {
		var s Shape
		f := reflect.ValueOf(&s).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"x"}))
		default:
			t.Fatalf("a field of kind %s", f.Kind())
		}
		name := reflect.TypeFor[Shape]().Field(i).Name
		if other, ok := seen[s.Key()]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[s.Key()] = name
		if len(s.Key()) != 32 {
			t.Errorf("the key of %s is %q", name, s.Key())
		}
	}
}

func TestMakeAndTake(t *testing.T) {
	home := place(t)
	c := open(t, home, 1<<30)
	if _, ok, err := c.Take(shape(1).Key()); ok || err != nil {
		t.Fatalf("of an empty cache: %v, %v", ok, err)
	}
	made(t, c, shape(1), 10000)
	if err := c.Make(t.Context(), shape(1), func(context.Context, string) error { return errors.New("made again") }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Cache{c, open(t, home, 1<<30)} { // also in the next process
		tpl := taken(t, c, shape(1))
		if got, err := os.ReadFile(filepath.Join(tpl.Dir, "state")); err != nil || string(got) != "state" {
			t.Errorf("state is %q, %v", got, err)
		}
		tpl.Release()
		tpl.Release()
	}
	err := filepath.WalkDir(home.Templates(), func(path string, d os.DirEntry, err error) error {
		if info, _ := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamageIsFound spoils a template in each way and takes it in the same process
// and in the next: it must be refused, and gone afterwards.
func TestDamageIsFound(t *testing.T) {
	const big = wholeMost + 1<<20 // only samples of it are digested
	for name, spoil := range map[string]func(dir string) error{
		"cut":             func(dir string) error { return os.Truncate(filepath.Join(dir, "memory"), 9999) },
		"grown":           func(dir string) error { return os.Truncate(filepath.Join(dir, "memory"), big+1) },
		"one byte":        func(dir string) error { return poke(filepath.Join(dir, "state"), 2, 'X') },
		"one byte of RAM": func(dir string) error { return poke(filepath.Join(dir, "memory"), 123457, 'X') },
		"same times":      func(dir string) error { return pokeQuietly(filepath.Join(dir, "memory"), 123457) },
		"exchanged":       func(dir string) error { return exchange(filepath.Join(dir, "memory")) },
		"no state":        func(dir string) error { return os.Remove(filepath.Join(dir, "state")) },
		"link":            func(dir string) error { return link(filepath.Join(dir, "state")) },
		"one more":        func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) },
		"manifest cut":    func(dir string) error { return os.Truncate(paths.Template{Dir: dir}.Manifest(), 20) },
		"manifest grown":  func(dir string) error { return os.Truncate(paths.Template{Dir: dir}.Manifest(), maxManifest+1) },
	} {
		t.Run(name, func(t *testing.T) {
			home := place(t)
			for _, next := range []bool{false, true} {
				c := open(t, home, 1<<30)
				made(t, c, shape(1), big)
				taken(t, c, shape(1)).Release()
				if err := spoil(home.Template(shape(1).Key()).Dir); err != nil {
					t.Fatal(err)
				}
				if next {
					c = open(t, home, 1<<30)
				}
				if _, ok, err := c.Take(shape(1).Key()); ok || !fault.Is(err, fault.AssetDamaged) {
					t.Errorf("next process %v: taken %v, %v", next, ok, err)
				}
				if names := left(t, home); len(names) != 0 {
					t.Errorf("left: %v", names)
				}
			}
		})
	}
}

// poke writes one byte.
func poke(path string, at int64, b byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{b}, at)
	return err
}

// pokeQuietly writes one byte and puts the times back, as far as that can be done.
func pokeQuietly(path string, at int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := poke(path, at, 'X'); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// exchange puts another file of the same size and times there.
func exchange(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Rename(path, path+"+"); err != nil {
		return err
	}
	defer os.Remove(path + "+")
	if err := os.WriteFile(path, make([]byte, info.Size()), 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

func link(path string) error {
	target := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(path))), "elsewhere")
	if err := os.Rename(path, target); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// TestMakeFails holds that a maker that fails, is cancelled, finds no room or leaves
// nonsense leaves nothing, and can try again.
func TestMakeFails(t *testing.T) {
	home := place(t)
	c := open(t, home, 1<<30)
	cancelled, cancel := context.WithCancel(t.Context())
	for name, f := range map[string]struct {
		shape Shape
		fill  func(context.Context, string) error
		kind  fault.Kind
	}{
		"error":     {shape(1), func(_ context.Context, dir string) error { write(1)(nil, dir); return errors.New("boot") }, fault.Internal},
		"full":      {shape(1), func(_ context.Context, dir string) error { return fmt.Errorf("save: %w", unix.ENOSPC) }, fault.NoSpace},
		"no room":   {Shape{Memory: 1 << 60}, func(context.Context, string) error { t.Error("it was begun"); return nil }, fault.NoSpace},
		"nothing":   {shape(1), func(context.Context, string) error { return nil }, fault.Internal},
		"directory": {shape(1), func(_ context.Context, dir string) error { return os.Mkdir(filepath.Join(dir, "d"), 0o700) }, fault.Internal},
		"too large": {shape(1), write(1<<30 + 1), fault.NoSpace},
		"cancelled": {shape(1), func(_ context.Context, dir string) error { cancel(); return write(1)(nil, dir) }, fault.Internal},
	} {
		c := c
		if name == "too large" {
			c = open(t, home, 1<<20)
			f.fill = write(2 << 20)
		}
		ctx := t.Context()
		if name == "cancelled" {
			ctx = cancelled
		}
		err := c.Make(ctx, f.shape, f.fill)
		if err == nil || fault.As(err).Kind != f.kind {
			t.Errorf("%s: %v", name, err)
		}
		if names := left(t, home); len(names) != 0 {
			t.Errorf("%s: left %v", name, names)
		}
	}
	made(t, c, shape(1), 1)
	taken(t, c, shape(1))
}

// TestMadeOnce lets many ask for one template.
func TestMadeOnce(t *testing.T) {
	c := open(t, place(t), 1<<30)
	var fills atomic.Int32
	begun, goOn := make(chan struct{}), make(chan struct{})
	fill := func(_ context.Context, dir string) error {
		if fills.Add(1) == 1 {
			close(begun)
		}
		<-goOn
		return write(1)(nil, dir)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := c.Make(t.Context(), shape(1), fill); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Make(impatient, shape(1), fill); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait: %v", err)
	}
	close(goOn)
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("it was made %d times", n)
	}
}

// TestEviction holds the limit: least recently used first, never one in use.
func TestEviction(t *testing.T) {
	home := place(t)
	const size = 1 << 20
	c := open(t, home, 3*size+3*64<<10)
	old := time.Now().Add(-time.Hour)
	for i := 1; i <= 3; i++ {
		made(t, c, shape(i), size)
		at := old.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(home.Template(shape(i).Key()).Manifest(), at, at); err != nil {
			t.Fatal(err)
		}
	}
	inUse := c.Hold(shape(1).Key()) // the oldest, but in use
	taken(t, c, shape(2)).Release() // the next, but taken just now
	made(t, c, shape(4), size)      // so 3 goes
	for i, want := range []bool{1: true, 2: true, 3: false, 4: true} {
		if i > 0 && c.Has(shape(i).Key()) != want {
			t.Errorf("template %d is there: %v", i, !want)
		}
	}
	if err := c.Remove(shape(1).Key()); !fault.Is(err, fault.WrongState) {
		t.Errorf("remove one in use: %v", err)
	}
	list := c.List()
	if len(list) != 3 || list[0].Key != shape(4).Key() || !list[2].InUse || list[1].InUse || list[0].Size < size {
		t.Errorf("listed: %+v", list)
	}
	inUse.Release()
	if err := c.Remove(shape(1).Key()); err != nil || c.Has(shape(1).Key()) {
		t.Errorf("remove: %v", err)
	}
	if err := c.Drop(shape(1).Key()); err != nil {
		t.Errorf("drop what is gone: %v", err)
	}
	used := taken(t, c, shape(4))
	if err := c.Drop(used.Key); err != nil || c.Has(used.Key) {
		t.Errorf("drop one in use: %v", err)
	}
}

// TestLeftovers opens a cache over what a process that was killed may leave.
func TestLeftovers(t *testing.T) {
	home := place(t)
	c := open(t, home, 1<<30)
	made(t, c, shape(1), 1)
	made(t, c, shape(2), 1)
	made(t, c, shape(3), 1)
	key := func(n int) paths.Template { return home.Template(shape(n).Key()) }
	for _, err := range []error{
		os.Rename(key(2).Dir, key(2).Unfinished().Dir), // sealed, without its name
		os.Rename(key(3).Dir, key(3).Leaving()),        // on its way out
		os.MkdirAll(key(4).Unfinished().Dir, 0o700),    // just begun
		write(1)(nil, key(4).Unfinished().Dir),
		os.Mkdir(key(5).Dir, 0o700), // not ours: never made
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if list := c.List(); len(list) != 1 {
		t.Errorf("listed: %+v", list)
	}
	c = open(t, home, 1<<30)
	if names := strings.Join(left(t, home), " "); strings.Contains(names, ".") || !c.Has(shape(1).Key()) {
		t.Errorf("left: %s", names)
	}
	if _, ok, err := c.Take(shape(5).Key()); ok || err != nil {
		t.Errorf("a directory without a manifest: %v, %v", ok, err)
	}
}
