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
	"strings"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
)

// Open finds an image below dir: the default one for "" and DefaultName, else by a name
// that a pull or an import has given it for the platform, as flatten.ParsePlatform takes
// it, or by its digest or the beginning of that. The default is the platform's ("" is this
// machine's), of this version's recipe, or, where only older ones are there, the newest of those. An image that set-up
// makes and that is not there is a fault.AssetMissing, one that is cut short a
// fault.AssetDamaged, any other that is not there a fault.ImageMissing, and what can be no
// image's name a fault.Invalid.
func Open(dir, ref, platform string) (Image, error) {
	if ref == "" || ref == DefaultName {
		want, err := flatten.ParsePlatform(platform)
		if err != nil {
			return Image{}, err
		}
		return openDefault(dir, want.String())
	}
	m, err := find(dir, ref, platform)
	if err != nil {
		return Image{}, err
	}
	return use(place(dir, m.Digest), m)
}

// find is the manifest of a reference that is not the default's.
func find(dir, ref, platform string) (manifest, error) {
	want, err := flatten.ParsePlatform(platform)
	if err != nil {
		return manifest{}, err
	}
	if isDigest(ref) {
		return byDigest(dir, ref, want)
	}
	parsed, err := parse(ref)
	if err == nil {
		if r, ok := named(dir, parsed.Name(), want.String()); ok {
			return readManifest(place(dir, r.Digest))
		}
		if _, digest, ok := strings.Cut(ref, "@"); ok && isDigest(digest) {
			return byDigest(dir, digest, want)
		}
	}
	if hex := prefix(ref); hex != "" {
		if m, ok, err := byPrefix(dir, hex); ok || err != nil {
			return m, err
		}
	}
	if err != nil {
		return manifest{}, err
	}
	return manifest{}, absent(ref, "there is no image of this name for %s here", want)
}

// byDigest finds an image by its own digest, or by that of an index it was pulled from.
func byDigest(dir, digest string, want flatten.Platform) (manifest, error) {
	m, err := readManifest(place(dir, digest))
	if !fault.Is(err, fault.AssetMissing) {
		return m, err
	}
	for _, r := range records(dir) {
		if r.Index == digest && r.Platform == want.String() {
			return readManifest(place(dir, r.Digest))
		}
	}
	return manifest{}, absent(digest, "no image here has this digest")
}

// byPrefix finds the one image whose digest begins so.
func byPrefix(dir, hex string) (found manifest, ok bool, err error) {
	all, _ := list(dir)
	for _, m := range all {
		if strings.HasPrefix(m.Digest, digestPrefix+hex) {
			if ok {
				return manifest{}, false, fault.New(fault.Ambiguous, hex, fmt.Sprintf("open image %q", hex), "several images have a digest that begins so")
			}
			found, ok = m, true
		}
	}
	return found, ok, nil
}

func absent(ref, why string, args ...any) error {
	return fault.New(fault.ImageMissing, ref, fmt.Sprintf("open image %.200q", ref), why, args...)
}

// use checks the size of an image's file and says where it is.
func use(dir string, m manifest) (Image, error) {
	if err := m.check(dir); err != nil {
		return Image{}, err
	}
	return m.image(dir), nil
}

// openDefault opens the best image of the default's name and that platform.
func openDefault(dir, platform string) (Image, error) {
	found, failed := list(dir)
	found = slices.DeleteFunc(found, func(m manifest) bool { return m.Name != DefaultName || m.platform() != platform })
	if len(found) == 0 {
		if failed != nil {
			return Image{}, failed
		}
		return Image{}, missing(DefaultName, "the default image for %s is not in %s", platform, dir)
	}
	best := slices.MaxFunc(found, func(a, b manifest) int {
		return cmp.Or(cmp.Compare(current(a), current(b)), a.Created.Compare(b.Created))
	})
	return use(place(dir, best.Digest), best)
}

// current is 1 for an image of this version's recipe, else 0.
func current(m manifest) int {
	if m.Recipe == recipeFor(m.platform()).id() {
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
	if digest != img.Root {
		return damaged(img.Path, "%s has the digest %s where its manifest says %s", img.Path, digest, img.Root)
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
