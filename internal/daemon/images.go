package daemon

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"aegis/client"
	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/image"
)

// images are api.Images: the store, and who uses what is in it.
type images struct{ d *daemon }

// imageStep is the step of their progress.
const imageStep = "image"

// store is where images are kept, and how they are read.
func (a *assets) store() image.Store {
	f := flattener{func() (confine.Rung, error) { return chooseRung(a.config.Confinement, a.found) }}
	return image.Store{Dir: a.home.Images(), Layers: a.home.Layers(), Stage: a.home.Stage(), Flatten: f.do}
}

// progressEvery is how often a client hears how far a pull or an import is.
const progressEvery = 100 * time.Millisecond

// thinned makes a report of what a client hears: every message, and of figures some.
func thinned(progress func(client.Progress)) image.Report {
	var last time.Time
	var said string
	return func(msg string, done, total int64) {
		now := time.Now()
		if msg == said && now.Sub(last) < progressEvery && (done != total || total == 0) {
			return
		}
		said, last = msg, now
		progress(client.Progress{Step: imageStep, Message: msg, Done: done, Total: total})
	}
}

// Pull brings an image, one of a name at a time: whoever else wants it finds it then.
func (i images) Pull(ctx context.Context, in client.PullImage, progress func(client.Progress)) (client.Image, error) {
	img, err := i.d.assets.pull(ctx, in, thinned(progress))
	if err != nil {
		return client.Image{}, err
	}
	return i.view(ctx, img)
}

func (a *assets) pull(ctx context.Context, in client.PullImage, report image.Report) (image.Image, error) {
	if in.Image == "" {
		in.Image = a.config.Image
	}
	if in.When == "" {
		in.When = image.PullMissing
	}
	done, err := a.turns.take(ctx, in.Image+" "+in.Platform)
	if err != nil {
		return image.Image{}, err
	}
	defer done()
	return a.store().Pull(ctx, in.Image, in.Platform, in.When, report)
}

// Import makes an image of an archive.
func (i images) Import(ctx context.Context, in client.ImportImage, archive io.Reader, progress func(client.Progress)) (client.Image, error) {
	report, whole := thinned(progress), false
	img, err := i.d.assets.store().Import(ctx, image.Source{Archive: archive, Name: in.Name, Platform: in.Platform}, func(msg string, done, total int64) {
		if whole = whole || msg != image.Reading; whole { // an answer before the request's end would cut it
			report(msg, done, total)
		}
	})
	if err != nil {
		return client.Image{}, err
	}
	return i.view(ctx, img)
}

// List gives all images.
func (i images) List(ctx context.Context) ([]client.Image, error) {
	users, err := i.d.engine.ImageUsers(ctx)
	if err != nil {
		return nil, err
	}
	var out []client.Image
	for _, img := range i.d.assets.store().List() {
		out = append(out, viewed(img, users[img.Digest]))
	}
	return out, nil
}

// Info describes one.
func (i images) Info(ctx context.Context, ref, platform string) (client.Image, error) {
	img, err := i.d.assets.store().Info(ref, platform)
	if err != nil {
		return client.Image{}, err
	}
	return i.view(ctx, img)
}

// Delete removes a name, or an image that no instance was made from, with the VMs and
// templates of it that are nobody's. No prune runs meanwhile.
func (i images) Delete(ctx context.Context, ref, platform string) error {
	i.d.assets.mu.Lock()
	defer i.d.assets.mu.Unlock()
	users, err := i.d.engine.ImageUsers(ctx)
	if err != nil {
		return err
	}
	gone, err := i.d.assets.store().Delete(ctx, ref, platform, func(digest string) []string { return users[digest] })
	if gone != "" {
		i.d.engine.ForgetImage(gone)
	}
	return err
}

func (i images) view(ctx context.Context, img image.Image) (client.Image, error) {
	users, err := i.d.engine.ImageUsers(ctx)
	return viewed(img, users[img.Digest]), err
}

// viewed is an image as the API shows it: nothing is null.
func viewed(img image.Image, users []string) client.Image {
	c := img.Config
	env := map[string]string{}
	maps.Copy(env, c.Env)
	list := func(s []string) []string { return append([]string{}, s...) }
	return client.Image{Digest: img.Digest, Names: list(img.Names), Platform: img.Platform, Size: img.Size, CreatedAt: img.Created, UsedBy: list(users),
		Default: slices.Contains(img.Names, image.DefaultName),
		Config:  client.ImageConfig{Entrypoint: list(c.Entrypoint), Cmd: list(c.Cmd), Env: env, User: c.User, Workdir: c.Workdir, Expose: list(c.Expose)}}
}

// turns lets one at a time do what has one key. The zero value is ready.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when it is done
}

// take waits for the key's turn; the caller then calls done.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	for {
		t.mu.Lock()
		wait := t.busy[key]
		if wait == nil {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[key] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, key)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fault.New(fault.Cancelled, key, "wait for another pull", "%w", ctx.Err())
		}
	}
}
