package engine

import (
	"context"
	"slices"
)

// ImageUsers names the instances that were made from each image, by its digest.
func (e *Engine) ImageUsers(ctx context.Context) (map[string][]string, error) {
	if err := e.emptied(ctx); err != nil {
		return nil, err
	}
	records, err := e.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	users := map[string][]string{}
	for _, rec := range records {
		users[rec.Image] = append(users[rec.Image], rec.Spec.Name)
	}
	for _, names := range users {
		slices.Sort(names)
	}
	return users, nil
}

// ForgetImage ends the VMs that wait for an instance of an image, removes the template
// that they came from, and makes no more: no instance needs the image. Its other
// templates are such that nothing uses.
func (e *Engine) ForgetImage(digest string) {
	if e.stock == nil {
		return
	}
	key, waiting := e.stock.forget(digest)
	endAll(waiting)
	if key == "" {
		return
	}
	if err := e.Templates.Drop(key); err != nil {
		e.Log.Warn("cannot remove a template", "key", key, "error", err)
	}
}

// forget takes out of the pool what is of an image, and gives the key of that.
func (s *stock) forget(digest string) (key string, out []*pooled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.shape.Image != digest {
		return "", nil // others do not wait
	}
	key, s.last = s.last.key, nil
	out, s.waiting = s.waiting, nil
	return key, out
}
