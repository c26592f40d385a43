package api

import (
	"encoding/json"
	"net/http"
)

type eventsInput struct {
	Follow bool `query:"follow" doc:"go on with later ones"`
}

// events registers the route of what happens to instances.
func (s *server) events() {
	op := operation("get-events", http.MethodGet, "/events", "The last 1000 events since the daemon began, as NDJSON", http.StatusOK)
	raw(s, op, func(w http.ResponseWriter, r *http.Request, in *eventsInput) error {
		w.Header().Set("Content-Type", ndjson)
		w.WriteHeader(http.StatusOK)
		flush := http.NewResponseController(w).Flush
		flush() // so that a follower of nothing sees its answer begin
		lines := json.NewEncoder(w)
		for event := range s.Instances.Events(r.Context(), in.Follow) {
			if lines.Encode(event) != nil || flush() != nil {
				return nil // the client has gone
			}
		}
		if in.Follow && r.Context().Err() == nil {
			panic(http.ErrAbortHandler) // the daemon ends: not the end of the events
		}
		return nil
	})
}
