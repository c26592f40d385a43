package image

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"aegis/internal/fault"
)

// Open finds an image below dir: the default one for "" and DefaultName, else by
// its full digest. The default is the one of this version's recipe, or, where only
// older ones are there, the newest of those. An image that set-up makes and that is
// not there is a fault.AssetMissing, one that is cut short a fault.AssetDamaged,
// any other reference a fault.ImageMissing.
func Open(dir, ref string) (Image, error) {
	switch {
	case ref == "" || ref == DefaultName:
		return openDefault(dir)
	case isDigest(ref):
		m, err := readManifest(place(dir, ref))
		if err != nil {
			return Image{}, err
		}
		return use(place(dir, ref), m)
	}
	return Image{}, fault.New(fault.ImageMissing, ref, fmt.Sprintf("open image %q", ref),
		"it is neither %q nor the digest of an image in %s, and images can't be pulled yet", DefaultName, dir)
}

// use checks the size of an image's file and says where it is.
func use(dir string, m manifest) (Image, error) {
	if err := m.check(dir); err != nil {
		return Image{}, err
	}
	return m.image(dir), nil
}

// openDefault opens the best image of the default's name.
func openDefault(dir string) (Image, error) {
	found, failed := list(dir)
	found = slices.DeleteFunc(found, func(m manifest) bool { return m.Name != DefaultName })
	if len(found) == 0 {
		if failed != nil {
			return Image{}, failed
		}
		return Image{}, missing(DefaultName, "the default image is not in %s", dir)
	}
	best := slices.MaxFunc(found, func(a, b manifest) int {
		return cmp.Or(cmp.Compare(current(a), current(b)), a.Created.Compare(b.Created))
	})
	return use(place(dir, best.Digest), best)
}

// current is 1 for an image of this version's recipe, else 0.
func current(m manifest) int {
	if m.Recipe == defaultRecipe.id() {
		return 1
	}
	return 0
}

// list reads every manifest below dir. Damage to one hides no other: the first is
// returned beside those that can be read.
func list(dir string) (found []manifest, failed error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list images: %w", err)
	}
	for _, e := range entries {
		if !isDigest(digestPrefix + e.Name()) {
			continue
		}
		m, err := readManifest(filepath.Join(dir, e.Name()))
		switch {
		case err == nil:
			found = append(found, m)
		case failed == nil:
			failed = err
		}
	}
	return found, failed
}

// Verify reads the whole file and compares its digest: what the size can't show.
// A difference is a fault.AssetDamaged.
func Verify(ctx context.Context, img Image) error {
	f, err := os.Open(img.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(img.Path, "the file is gone")
	}
	if err != nil {
		return damaged(img.Path, "%w", err)
	}
	defer f.Close()
	digest, err := sum(ctx, f)
	if err != nil {
		return err
	}
	if digest != img.Digest {
		return damaged(img.Path, "%s has the digest %s where its manifest says %s", img.Path, digest, img.Digest)
	}
	return nil
}

// sum is the digest of what r still holds.
func sum(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, until{ctx, r}); err != nil {
		return "", fmt.Errorf("digest image: %w", err)
	}
	return digestPrefix + hex.EncodeToString(h.Sum(nil)), nil
}

// until reads until its context ends.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
