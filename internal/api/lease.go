package api

import (
	"context"
	"net/http"
	"time"

	"aegis/client"
	"aegis/internal/fault"
)

// leases registers the routes of what keeps an instance awake.
func (s *server) leases() {
	type hold struct {
		Target
		Body client.Lease
	}
	answer(s, operation("hold-instance", http.MethodPost, "/instances/{ref}/lease", "Keep it awake for a time; replaces its lease, resumes a PAUSED one", http.StatusOK),
		func(ctx context.Context, in *hold) (client.Instance, error) {
			d, err := time.ParseDuration(in.Body.For)
			if err != nil {
				return client.Instance{}, fault.New(fault.Invalid, "for", "hold an instance", "%.40q is not a duration, like 10m", in.Body.For)
			}
			return whole(s.Instances.Hold(ctx, in.Ref, d, in.Body.Reason))
		})

	answer(s, operation("release-instance", http.MethodDelete, "/instances/{ref}/lease", "Drop its lease, if it has one", http.StatusOK),
		func(ctx context.Context, in *Target) (client.Instance, error) {
			return whole(s.Instances.Release(ctx, in.Ref))
		})
}
