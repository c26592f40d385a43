package image

import (
	"cmp"
	"slices"

	"aegis/internal/fault"
)

// List gives every image there is, the default first, then in the order of their names,
// then those without one.
func (s Store) List() []Image {
	names := map[string][]string{}
	for _, r := range records(s.Dir) {
		names[r.Digest] = append(names[r.Digest], short(r.Name))
	}
	all, _ := list(s.Dir) // damage is found by whoever uses it
	best, defaults := "", map[string]bool{}
	for _, m := range all {
		if img, err := openDefault(s.Dir, m.platform()); err == nil {
			defaults[img.Digest] = true
			if img.Platform == native {
				best = img.Digest
			}
		}
	}
	var out []Image
	for _, m := range all {
		img := m.image(place(s.Dir, m.Digest))
		img.Names = append(names[m.Digest], img.Names...)
		if m.Name == DefaultName && !defaults[m.Digest] {
			img.Names = names[m.Digest] // an older one
		}
		out = append(out, img)
	}
	first := func(i Image) string {
		switch {
		case i.Digest == best:
			return ""
		case len(i.Names) > 0:
			return "1" + i.Names[0]
		}
		return "2"
	}
	slices.SortFunc(out, func(a, b Image) int {
		return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Digest, b.Digest))
	})
	return out
}

// Info is Open, with the image's names.
func (s Store) Info(ref, platform string) (Image, error) {
	img, err := Open(s.Dir, ref, platform)
	if err != nil {
		return img, err
	}
	for _, other := range s.List() {
		if other.Digest == img.Digest {
			return other, nil
		}
	}
	return img, fault.New(fault.ImageMissing, ref, quoted("open", ref), "it has just gone")
}
