package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"aegis/internal/durable"
	"aegis/internal/image/flatten"
	"aegis/internal/undo"
)

// parallel is how many layers are fetched at once, as docker does.
const parallel = 3

// layerStep is how many bytes of one are stored between two looks at the disk's free space.
const layerStep = 1 << 20

// layerTries is how often a layer that breaks off is begun again.
const layerTries = 3

// download fetches the layers that no image here has and converts them all.
func (in intake) download(ctx context.Context, r asker, f found) error {
	var u undo.Stack
	defer u.Run()
	var total int64
	for _, size := range f.sizes {
		total += size
	}
	// A root has about three times the bytes of its packed layers.
	if err := room(in.dir, 4*total, "pull the image"); err != nil {
		return err
	}
	files, err := in.layers(ctx, f, total)
	for _, l := range files {
		u.Add(func() { l.Close() })
	}
	if err != nil {
		return r.failed(err)
	}
	_, err = in.convert(ctx, flatten.Job{Kind: flatten.Layers, DiffIDs: f.diffIDs}, flatten.Files{In: files})
	return err
}

// layers opens all layers, the lowest first. Those that are open are returned also
// with an error.
func (in intake) layers(ctx context.Context, f found, total int64) ([]*os.File, error) {
	all, err := f.image.Layers()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tally := &tally{total: total, report: in.report}
	files, places := make([]*os.File, len(all)), make(chan struct{}, parallel)
	var wait sync.WaitGroup
	for i, l := range all {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			file, err := in.layer(ctx, l, f.layers[i], f.sizes[i], tally)
			if err != nil {
				cancel(err)
			}
			files[i] = file
		})
	}
	wait.Wait()
	var open []*os.File
	for _, file := range files {
		if file != nil {
			open = append(open, file)
		}
	}
	return open, context.Cause(ctx)
}

// tally counts what has come of all layers.
type tally struct {
	mu          sync.Mutex
	done, total int64
	report      Report
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	t.report("fetching", t.done, t.total)
}

// layer opens a packed layer, and fetches it first if it is not there.
func (in intake) layer(ctx context.Context, l v1.Layer, digest string, size int64, t *tally) (*os.File, error) {
	path := filepath.Join(in.Layers, strings.TrimPrefix(digest, digestPrefix))
	if !isDigest(digest) {
		return nil, unusable("%.80q is not a digest by sha256", digest)
	}
	var err error
	for range layerTries {
		if f := kept(ctx, path, digest); f != nil {
			t.add(size)
			return f, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var done int64
		err = in.fetchLayer(ctx, l, path, func(n int64) { done += n; t.add(n) })
		if err == nil {
			return os.Open(path)
		}
		t.add(-done)
		if !broken(err) {
			break
		}
	}
	return nil, err
}

// kept opens a packed layer that is there, and whole; else it is nil.
func kept(ctx context.Context, path, digest string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	if got, err := sum(ctx, f); err != nil || got != digest {
		f.Close()
		return nil
	}
	os.Chtimes(path, time.Now(), time.Now()) // it is in use: a prune leaves it
	return f
}

// broken is whether a connection broke off, so that a new one may do.
func broken(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "connection reset")
}

// fetchLayer brings a layer to work and then to its place. Its bytes are compared with
// its digest as they come.
func (in intake) fetchLayer(ctx context.Context, l v1.Layer, path string, got func(n int64)) error {
	var u undo.Stack
	defer u.Run()
	from, err := l.Compressed()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(in.dir, "layer-") // an image may have a layer twice
	if err != nil {
		return err
	}
	u.Add(func() { to.Close(); os.Remove(to.Name()) })
	for {
		n, err := io.CopyN(to, until{ctx, from}, layerStep)
		got(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := room(in.dir, 0, "fetch a layer"); err != nil {
			return err
		}
	}
	if err := errors.Join(to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := os.Rename(to.Name(), path); err != nil {
		return err
	}
	u.Keep()
	return durable.Sync(filepath.Dir(path))
}

// UnusedLayers are files of packed layers that no image was made of, but those of a pull
// that may be under way.
func (s Store) UnusedLayers() (out []string) {
	all, err := list(s.Dir)
	if err != nil {
		return nil // what can't be read may name any
	}
	used := map[string]bool{}
	for _, m := range all {
		for _, l := range m.Layers {
			used[strings.TrimPrefix(l, digestPrefix)] = true
		}
	}
	entries, err := os.ReadDir(s.Layers)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !used[e.Name()] && time.Since(info.ModTime()) > layerAge {
			out = append(out, filepath.Join(s.Layers, e.Name()))
		}
	}
	return out
}

// layerAge is how long a layer that belongs to no image may yet become part of one.
const layerAge = time.Hour
