package engine

import (
	"context"
	"slices"
	"strings"

	"aegis/client"
	"aegis/internal/fault"
)

// find is the owner of the instance that ref names: a name, an ID, or an ID's
// unique prefix.
func (e *Engine) find(ctx context.Context, ref string) (*actor, error) {
	if a := e.present(ref); a != nil {
		return a, nil
	}
	rec, err := e.Store.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if a := e.present(rec.ID); a != nil {
		return a, nil
	}
	return nil, fault.New(fault.NotFound, ref, "find instance "+quote(ref), "there is none")
}

// present is the owner of the instance with that ID, unless it was dismissed.
func (e *Engine) present(id string) *actor {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isLeaving(id) {
		return nil
	}
	return e.actors[id]
}

// all are the owners of every instance; with dismissed, of those that were too.
func (e *Engine) all(dismissed bool) []*actor {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*actor, 0, len(e.actors))
	for _, a := range e.actors {
		if dismissed || !e.isLeaving(a.id) {
			out = append(out, a)
		}
	}
	return out
}

func (e *Engine) isClosing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

// List gives every instance, by name.
func (e *Engine) List(ctx context.Context) ([]client.Instance, error) {
	out := []client.Instance{}
	for _, a := range e.all(false) {
		view, err := e.view(ctx, a)
		if fault.Is(err, fault.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	slices.SortFunc(out, func(a, b client.Instance) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Info gives one instance, with what its processes use.
func (e *Engine) Info(ctx context.Context, ref string) (client.Instance, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return client.Instance{}, err
	}
	view, err := e.view(ctx, a)
	if err != nil {
		return client.Instance{}, err
	}
	e.measure(ctx, a, &view)
	return view, nil
}
