package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

// Space that building the default image takes at its peak: the tree, the packages
// and the image beside each other (measured: 0.6 GiB), in bytes.
const buildSpace = 1 << 30

// stagePrefix marks what is ours in the stage directory.
const stagePrefix = "image-"

// builder makes the root file system of the default image in the empty directory
// work, and leaves it there as fileRoot.
type builder func(ctx context.Context, work string, step func(msg string, done, total int64)) error

// Ensure makes the default image of a platform ("" is this machine's) below dir unless it is there and whole, and
// returns it. Unfinished work is below stage, on the same file system; what an
// interrupted Ensure left there is removed by the next. Several processes may call
// it at once: one builds, the others wait for it. report may be nil; step is
// always "image", done and total are bytes, total 0 where it is unknown.
//
// Without room for it Ensure is a fault.NoSpace before it begins, without the
// programs that it needs a fault.AssetMissing that says which command brings them.
func Ensure(ctx context.Context, dir, stage, platform string, report func(step, msg string, done, total int64)) (Image, error) {
	r := recipeFor(cmp.Or(platform, native))
	return ensure(ctx, dir, stage, buildSpace, report, r, r.debian)
}

func ensure(ctx context.Context, dir, stage string, space int64, report func(step, msg string, done, total int64), r recipe, build builder) (Image, error) {
	step := func(msg string, done, total int64) {
		if report != nil {
			report("image", msg, done, total)
		}
	}
	for _, d := range []string{dir, stage} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return Image{}, fmt.Errorf("make default image: %w", err)
		}
	}
	unlock, err := lock(ctx, dir, func() { step("waiting for another process that makes it", 0, 0) })
	if err != nil {
		return Image{}, fmt.Errorf("make default image: %w", err)
	}
	defer unlock()
	if img, ok, err := whole(ctx, dir, r, step); ok || err != nil {
		return img, err
	}
	if err := sweep(stage); err != nil {
		return Image{}, fmt.Errorf("make default image: %w", err)
	}
	if err := room(stage, space, "make default image"); err != nil {
		return Image{}, err
	}
	return create(ctx, dir, stage, r, step, build)
}

// whole returns the default image if it is of this recipe and its digest is right.
func whole(ctx context.Context, dir string, r recipe, step func(string, int64, int64)) (Image, bool, error) {
	found, _ := list(dir)
	for _, m := range found {
		if m.Name != DefaultName || m.Recipe != r.id() || m.check(place(dir, m.Digest)) != nil {
			continue
		}
		step("checking it", 0, m.Size)
		img := m.image(place(dir, m.Digest))
		err := Verify(ctx, img)
		if err == nil || ctx.Err() != nil {
			return img, err == nil, err
		}
	}
	return Image{}, false, nil
}

// create builds in a directory of its own and moves the result into place.
func create(ctx context.Context, dir, stage string, r recipe, step func(string, int64, int64), build builder) (Image, error) {
	work, err := os.MkdirTemp(stage, stagePrefix)
	if err != nil {
		return Image{}, fmt.Errorf("make default image: %w", err)
	}
	var u undo.Stack
	u.Add(func() { discard(work) })
	defer u.Run()
	if err := build(ctx, work, step); err != nil {
		return Image{}, full(err, work, "make default image")
	}
	m, err := describe(ctx, work, r)
	if err != nil {
		return Image{}, full(err, work, "make default image")
	}
	if err := put(work, place(dir, m.Digest)); err != nil {
		return Image{}, full(err, work, "make default image")
	}
	u.Keep()
	step("done", m.Size, m.Size)
	return m.image(place(dir, m.Digest)), nil
}

// describe syncs what was built and writes its manifest beside it.
func describe(ctx context.Context, work string, r recipe) (manifest, error) {
	f, err := os.Open(filepath.Join(work, fileRoot))
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return manifest{}, err
	}
	digest, err := sum(ctx, f)
	if err != nil {
		return manifest{}, err
	}
	if err := errors.Join(f.Chmod(0o400), f.Sync()); err != nil {
		return manifest{}, err
	}
	m := manifest{Name: DefaultName, Recipe: r.id(), Platform: r.platform(), Digest: digest, Type: "ext4",
		Size: info.Size(), Config: r.Config, Created: time.Now().UTC()}
	return m, m.write(work)
}

// put moves a finished directory to its place, replacing a damaged one. A VM that
// has the old file open keeps it.
func put(work, to string) error {
	if err := durable.Sync(work); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(work, to); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(to))
}

// sweep removes what earlier builds left. The caller holds the lock, so none runs.
func sweep(stage string) error {
	entries, err := os.ReadDir(stage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stagePrefix) {
			if err := discard(filepath.Join(stage, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// full turns an error for want of space into a fault.NoSpace and names what failed
// in any other. It returns nil for nil.
func full(err error, path, what string) error {
	if err == nil {
		return nil
	}
	if isFull(err) {
		return fault.New(fault.NoSpace, path, what, "the disk that holds %s is full", path)
	}
	if fe := (*fault.Error)(nil); errors.As(err, &fe) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// DiscardWork removes an entry of the stage directory that nobody goes on with.
func DiscardWork(path string) error { return discard(path) }
