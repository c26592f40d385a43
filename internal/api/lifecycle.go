package api

import (
	"context"
	"net/http"
	"time"

	"aegis/client"
	"aegis/internal/fault"
)

// defaultGrace asks for the daemon's own grace period.
const defaultGrace = time.Duration(-1)

// lifecycle registers the verbs that move an instance between its states.
func (s *server) lifecycle() {
	answer(s, operation("start-instance", http.MethodPost, "/instances/{ref}/start", "Start or resume; returns when the command runs", http.StatusOK),
		func(ctx context.Context, in *Target) (client.Instance, error) {
			return whole(s.Instances.Start(ctx, in.Ref))
		})

	type stop struct {
		Target
		Grace string `query:"grace" doc:"a duration between SIGTERM and SIGKILL; absent: the configured one"`
	}
	act(s, operation("stop-instance", http.MethodPost, "/instances/{ref}/stop", "SIGTERM, wait, SIGKILL; returns when the VM is gone", http.StatusNoContent),
		func(ctx context.Context, in *stop) error {
			grace, err := parseGrace(in.Grace)
			if err != nil {
				return err
			}
			return s.Instances.Stop(ctx, in.Ref, grace)
		})

	answer(s, operation("restart-instance", http.MethodPost, "/instances/{ref}/restart", "Stop it if it runs, then start it; returns when the command runs", http.StatusOK),
		func(ctx context.Context, in *stop) (client.Instance, error) {
			grace, err := parseGrace(in.Grace)
			if err != nil {
				return client.Instance{}, err
			}
			return whole(s.Instances.Restart(ctx, in.Ref, grace))
		})

	answer(s, operation("wait-instance", http.MethodGet, "/instances/{ref}/wait", "Answers when it is STOPPED: how its last life ended", http.StatusOK),
		func(ctx context.Context, in *Target) (client.Exit, error) { return s.Instances.Wait(ctx, in.Ref) })

	act(s, operation("pause-instance", http.MethodPost, "/instances/{ref}/pause", "Stop the processors, keep the memory", http.StatusNoContent),
		func(ctx context.Context, in *Target) error { return s.Instances.Pause(ctx, in.Ref) })

	act(s, operation("resume-instance", http.MethodPost, "/instances/{ref}/resume", "Let the processors go on", http.StatusNoContent),
		func(ctx context.Context, in *Target) error { return s.Instances.Resume(ctx, in.Ref) })
}

func parseGrace(text string) (time.Duration, error) {
	if text == "" {
		return defaultGrace, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, text, "stop an instance", "%.40q is not a duration of 0 or more, like 10s", text)
	}
	return d, nil
}
