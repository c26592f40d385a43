package engine

import (
	"context"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// Prune deletes the instances that have been STOPPED for longer than age, with
// their logs and disks, and returns their names. Workspaces stay.
func (e *Engine) Prune(ctx context.Context, age time.Duration) ([]string, error) {
	deleted := []string{}
	for _, a := range e.all(false) {
		err := a.ask(ctx, func() error {
			since := a.rec.StoppedAt
			if since.IsZero() {
				since = a.rec.CreatedAt
			}
			if a.rec.State != instance.Stopped || time.Since(since) < age {
				return nil
			}
			name := a.rec.Spec.Name
			if err := a.remove(); err != nil {
				return err
			}
			deleted = append(deleted, name)
			return nil
		})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return deleted, err
		}
	}
	return deleted, nil
}
