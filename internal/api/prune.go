package api

import (
	"context"
	"net/http"
	"time"

	"aegis/internal/fault"
)

// prune registers the route that deletes old records.
func (s *server) prune() {
	type prune struct {
		Age string `query:"stopped_older_than" required:"true" doc:"a duration, like 168h"`
	}
	answer(s, operation("prune-instances", http.MethodPost, "/instances/prune", "Delete what has been STOPPED for long; the names of what is gone", http.StatusOK),
		func(ctx context.Context, in *prune) ([]string, error) {
			age, err := time.ParseDuration(in.Age)
			if err != nil || age < 0 {
				return nil, fault.New(fault.Invalid, "stopped_older_than", "prune instances", "%.40q is not a duration of 0 or more, like 168h", in.Age)
			}
			return array(s.Instances.Prune(ctx, age))
		})
}
