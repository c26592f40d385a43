package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
	"aegis/internal/undo"
)

// Flattener carries out a job of package flatten, in a process that has nothing but
// these files and can't outlive ctx. report is called from one goroutine.
type Flattener func(ctx context.Context, job flatten.Job, files flatten.Files, report func(done, total int64)) (flatten.Result, error)

// Store is where images are kept, and how more come in. Several processes may use one
// at once. Its methods leave nothing behind when they fail.
type Store struct {
	Dir     string // of images
	Layers  string // of packed layers, by their digest, that images share
	Stage   string // of unfinished work, on the same file system as Dir and Layers
	Flatten Flattener
}

// Report is told what a pull or an import is doing, from one goroutine at a time. done
// and total are bytes; total may be 0.
type Report func(msg string, done, total int64)

// workPrefix marks directories of pulls and imports in the stage directory. Whoever
// works in one holds a lock on it.
const workPrefix = "pull-"

// orphanAge is how old a directory without a lock is that nobody is about to lock.
const orphanAge = time.Minute

// work makes a directory for one pull or import, and removes those of processes that
// were killed. The caller calls done.
func (s Store) work() (dir string, done func(), err error) {
	for _, d := range []string{s.Dir, s.Layers, s.Stage} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", nil, err
		}
	}
	s.sweep()
	if dir, err = os.MkdirTemp(s.Stage, workPrefix); err != nil {
		return "", nil, err
	}
	held, err := hold(dir)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir); held.Close() }, nil
}

// hold locks a directory for as long as the file is open, or fails.
func hold(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// sweep removes what nobody holds.
func (s Store) sweep() {
	entries, _ := os.ReadDir(s.Stage)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), workPrefix) || time.Since(info.ModTime()) < orphanAge {
			continue
		}
		dir := filepath.Join(s.Stage, e.Name())
		if held, err := hold(dir); err == nil {
			os.RemoveAll(dir)
			held.Close()
		}
	}
}

// Names below a directory of work.
const (
	fileArchive = "archive" // what is imported
	fileScratch = "scratch" // the same, unpacked
)

// intake is one pull or import: the file system in the making.
type intake struct {
	Store
	dir    string // its own
	report Report
}

// convert lets the flattener make the file system.
func (in intake) convert(ctx context.Context, job flatten.Job, files flatten.Files) (flatten.Result, error) {
	var u undo.Stack
	defer u.Run()
	var err error
	if files.Out, err = os.OpenFile(filepath.Join(in.dir, fileRoot), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return flatten.Result{}, err
	}
	u.Add(func() { files.Out.Close() })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := in.Flatten(ctx, job, files, func(done, total int64) {
		in.report("converting", done, total)
		if err := room(in.dir, 0, "convert the image"); err != nil {
			cancel(err)
		}
	})
	if cause := context.Cause(ctx); fault.Is(cause, fault.NoSpace) {
		err = cause
	}
	return res, err
}

// commit makes what was converted an image, and gives it its names. An image that is
// there already, and whole, stays as it is.
func (in intake) commit(ctx context.Context, m manifest, names []record) (Image, error) {
	unlock, err := lock(ctx, in.Dir, func() { in.report("waiting for another process", 0, 0) })
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	to := place(in.Dir, m.Digest)
	if old, err := readManifest(to); err == nil && old.check(to) == nil {
		m = old
	} else if err := in.settle(ctx, &m, to); err != nil {
		return Image{}, err
	}
	for _, r := range names {
		if err := r.save(in.Dir); err != nil {
			return Image{}, err
		}
	}
	img := m.image(to)
	for _, r := range names {
		img.Names = append(img.Names, short(r.Name))
	}
	return img, nil
}

// settle describes the file system and moves it to its place.
func (in intake) settle(ctx context.Context, m *manifest, to string) error {
	f, err := os.Open(filepath.Join(in.dir, fileRoot))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m.Root, err = sum(ctx, f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o400), f.Sync()); err != nil {
		return err
	}
	m.Type, m.Size, m.Created = "ext4", info.Size(), time.Now().UTC()
	final := filepath.Join(in.dir, "image")
	if err := os.Mkdir(final, 0o700); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(in.dir, fileRoot), filepath.Join(final, fileRoot)); err != nil {
		return err
	}
	if err := m.write(final); err != nil {
		return err
	}
	return put(final, to)
}

// failed says what failed in an error of any kind: as a fault about the image.
func failed(ctx context.Context, err error, what, subject, dir string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fault.New(fault.Cancelled, subject, what, "it was cancelled")
	}
	err = full(err, dir, what)
	f := *fault.As(err)
	if f.What == "" {
		f.What = what
	}
	if f.Kind == fault.Internal {
		f.What, f.Why = what, strings.TrimPrefix(f.Why, what+": ")
	}
	if f.Subject == "" {
		f.Subject = subject
	}
	return &f
}

// quoted names an image in what failed.
func quoted(verb, ref string) string { return fmt.Sprintf("%s image %q", verb, ref) }
