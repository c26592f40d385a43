package image

import (
	"context"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
)

// When an image is fetched.
const (
	PullAlways  = "always"  // the registry is asked what the name means now
	PullMissing = "missing" // only what is not there
	PullNever   = "never"
)

// Pull brings an image from its registry, unless what is there will do, and gives it its
// name. It is asked for with the credentials of `docker login`. An image or a platform
// that the registry has not is a fault.ImageMissing, a registry that does not answer or
// wants other credentials a fault.Registry, content that is not what its digest says,
// hostile or too large a fault.ImageUnusable, a disk too full a fault.NoSpace.
func (s Store) Pull(ctx context.Context, ref, platform, when string, report Report) (Image, error) {
	img, err := Open(s.Dir, ref, platform)
	switch {
	case when == PullNever, when == PullMissing && err == nil, ref == "", ref == DefaultName:
		return img, err
	case err != nil && !fault.Is(err, fault.ImageMissing) && !fault.Is(err, fault.AssetDamaged) && !fault.Is(err, fault.AssetMissing):
		return img, err
	case isDigest(ref):
		return img, err // no registry has it by that alone
	}
	img, err = s.fetch(ctx, ref, platform, report)
	return img, failed(ctx, err, quoted("pull", ref), ref, s.Stage)
}

func (s Store) fetch(ctx context.Context, ref, platform string, report Report) (Image, error) {
	want, err := flatten.ParsePlatform(platform)
	if err != nil {
		return Image{}, err
	}
	from, err := parse(ref)
	if err != nil {
		return Image{}, err
	}
	report("asking "+from.Context().RegistryStr(), 0, 0)
	r := asker{ctx, from}
	found, err := r.resolve(want)
	if err != nil {
		return Image{}, err
	}
	names := []record{{Name: from.Name(), Platform: want.String(), Digest: found.digest, Index: found.index, At: time.Now().UTC()}}
	dir, done, err := s.work()
	if err != nil {
		return Image{}, err
	}
	defer done()
	in := intake{s, dir, report}
	m := manifest{Digest: found.digest, Platform: want.String(), Layers: found.layers}
	if old, err := readManifest(place(s.Dir, m.Digest)); err == nil && old.check(place(s.Dir, m.Digest)) == nil {
		return in.commit(ctx, old, names) // another name of what is there
	}
	if m.Config, err = readConfig(found.config); err != nil {
		return Image{}, err
	}
	if err := in.download(ctx, r, found); err != nil {
		return Image{}, err
	}
	return in.commit(ctx, m, names)
}

// found is an image of a registry, as its manifest and its config describe it.
type found struct {
	image   v1.Image
	digest  string // of its manifest
	index   string // of the list that the manifest is in; "": none
	config  []byte
	diffIDs []string
	layers  []string // digests of the packed ones
	sizes   []int64  // in bytes
}

// asker asks a registry for one reference.
type asker struct {
	ctx  context.Context
	from name.Reference
}
