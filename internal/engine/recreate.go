package engine

import (
	"context"
	"slices"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// replace deletes the instance whose name spec takes, if there is one, whatever it does.
// Its host ports stay with the guest ports that spec exposes at no other.
func (e *Engine) replace(ctx context.Context, spec *instance.Spec) error {
	if spec.Name == "" {
		return fault.New(fault.Invalid, "recreate", "replace an instance", "it needs a name")
	}
	old, err := e.Store.Find(ctx, spec.Name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.Delete(ctx, old.ID, true); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	for i, p := range spec.Ports {
		if k := slices.IndexFunc(old.Spec.Ports, func(o instance.Port) bool { return o.Guest == p.Guest && o.IP == p.IP }); k >= 0 && p.Host == 0 {
			spec.Ports[i].Host = old.Spec.Ports[k].Host
		}
	}
	return nil
}
