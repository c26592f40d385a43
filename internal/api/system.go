package api

import (
	"context"
	"net/http"

	"aegis/client"
)

type systemPruneInput struct {
	All bool `query:"all" doc:"also from a cache outside of the home, which other homes may use"`
}

// system registers the routes about the disk.
func (s *server) system() {
	answer(s, operation("get-disk-use", http.MethodGet, "/system/df", "What uses the disk", http.StatusOK),
		func(ctx context.Context, _ *struct{}) (client.DiskUse, error) { return s.Daemon.DiskUse(ctx) })

	answer(s, operation("prune-system", http.MethodPost, "/system/prune", "Remove what nothing needs", http.StatusOK),
		func(ctx context.Context, in *systemPruneInput) (client.Pruned, error) {
			return s.Daemon.Prune(ctx, in.All)
		})
}
