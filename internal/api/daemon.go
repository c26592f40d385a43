package api

import (
	"context"
	"encoding/json"
	"net/http"

	"aegis/client"
)

// daemon registers the routes about the daemon itself.
func (s *server) daemon() {
	answer(s, operation("get-version", http.MethodGet, "/version", "Which daemon this is", http.StatusOK),
		func(context.Context, *struct{}) (client.Version, error) { return s.Daemon.Version(), nil })

	answer(s, operation("get-status", http.MethodGet, "/status", "How the daemon is", http.StatusOK),
		func(ctx context.Context, _ *struct{}) (client.Status, error) { return s.Daemon.Status(ctx) })

	answer(s, operation("get-config", http.MethodGet, "/config", "The settings that the daemon runs with", http.StatusOK),
		func(context.Context, *struct{}) ([]client.Setting, error) { return s.Daemon.Config(), nil })

	act(s, operation("stop-daemon", http.MethodPost, "/down", "Stop every VM, then the daemon", http.StatusNoContent),
		func(ctx context.Context, _ *struct{}) error { return s.Daemon.Down(ctx) })

	raw(s, operation("set-up", http.MethodPost, "/setup", "Make what a first start needs; progress as NDJSON", http.StatusOK), s.setup)
}

// setUpFor says for which instances.
type setUpFor struct {
	Platform string `query:"platform" maxLength:"60" doc:"of the instances to come, like linux/amd64; empty: this machine's"`
	Image    string `query:"image" maxLength:"512" doc:"of the instances to come, which is made here if it is the default one; empty: that one and the configured one"`
}

// setup streams the steps.
func (s *server) setup(w http.ResponseWriter, r *http.Request, in *setUpFor) error {
	return s.progress(w, "set-up", func(send func(client.Progress)) error { return s.Daemon.Setup(r.Context(), client.SetupFor(*in), send) })
}

// progress streams what an act reports. A failure before the first line is an ordinary
// problem; a later one is the last line.
func (s *server) progress(w http.ResponseWriter, id string, act func(send func(client.Progress)) error) error {
	lines := json.NewEncoder(w)
	begun := false
	send := func(p client.Progress) {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", ndjson)
			w.WriteHeader(http.StatusOK)
		}
		lines.Encode(p) // a client that has gone ends the context
		http.NewResponseController(w).Flush()
	}
	err := act(send)
	if err != nil && begun {
		p := s.failed(id, err).Problem
		send(client.Progress{Error: &p})
		return nil
	}
	return err
}
