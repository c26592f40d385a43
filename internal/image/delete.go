package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aegis/internal/durable"
	"aegis/internal/fault"
)

// Delete takes a name away, and with its last name the image, with the layers that no
// other image has. By a digest, or the beginning of one, the image goes with all its
// names. users says who needs an image: then it is a fault.ImageInUse, as for the
// default image. It returns the digest of the image that is gone, or "".
func (s Store) Delete(ctx context.Context, ref, platform string, users func(digest string) []string) (string, error) {
	what := quoted("delete", ref)
	if ref == "" || ref == DefaultName {
		return "", fault.New(fault.ImageInUse, ref, what, "it is what instances get that name no image")
	}
	unlock, err := lock(ctx, s.Dir, nil)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = absent(ref, "there are no images here")
		}
		return "", failed(ctx, err, what, ref, s.Dir)
	}
	defer unlock()
	gone, err := s.remove(ref, platform, users)
	return gone, failed(ctx, err, what, ref, s.Dir)
}

func (s Store) remove(ref, platform string, users func(string) []string) (string, error) {
	m, err := find(s.Dir, ref, platform)
	if err != nil {
		return "", err
	}
	if m.Name == DefaultName {
		return "", fault.New(fault.ImageInUse, ref, "", "it is Aegis's own; aegis system prune removes those that newer ones have replaced")
	}
	var drop []record
	whole := true
	for _, r := range records(s.Dir) {
		switch {
		case r.Digest != m.Digest:
		case calls(r, ref):
			drop = append(drop, r)
		default:
			whole = false
		}
	}
	if len(drop) == 0 { // by its digest
		whole = true
		drop = slices.DeleteFunc(records(s.Dir), func(r record) bool { return r.Digest != m.Digest })
	}
	if whole {
		if names := users(m.Digest); len(names) > 0 {
			return "", fault.New(fault.ImageInUse, ref, "", "%s", needs(names))
		}
	}
	for _, r := range drop {
		if err := r.forget(s.Dir); err != nil {
			return "", err
		}
	}
	if !whole {
		return "", nil
	}
	return m.Digest, s.erase(m)
}

// calls reports whether a reference is that name.
func calls(r record, ref string) bool {
	parsed, err := parse(ref)
	return err == nil && parsed.Name() == r.Name
}

// needs says who needs an image, of many the first.
func needs(names []string) string {
	const most = 5
	rest := ""
	if len(names) > most {
		names, rest = names[:most], " and others"
	}
	verb := " needs it"
	if len(names) > 1 {
		verb = " need it"
	}
	return strings.Join(names, ", ") + rest + verb
}

// erase removes an image, whole or not at all, and then its layers.
func (s Store) erase(m manifest) error {
	dir, done, err := s.work()
	if err != nil {
		return err
	}
	defer done()
	if err := os.Rename(place(s.Dir, m.Digest), filepath.Join(dir, "gone")); err != nil {
		return err
	}
	if err := durable.Sync(s.Dir); err != nil {
		return err
	}
	all, failed := list(s.Dir)
	if failed != nil {
		return nil // what can't be read may need them: a prune removes them once that is mended
	}
	for _, layer := range m.Layers {
		if !slices.ContainsFunc(all, func(o manifest) bool { return slices.Contains(o.Layers, layer) }) && isDigest(layer) {
			os.Remove(filepath.Join(s.Layers, strings.TrimPrefix(layer, digestPrefix)))
		}
	}
	return nil
}
