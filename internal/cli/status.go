package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) status() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "status", Short: "Describe the daemon", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(s)
			}
			return a.table(nil, statusRows(s))
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func statusRows(s client.Status) [][]string {
	ready := "yes"
	if !s.Ready {
		ready = "no: aegis setup makes what is missing"
	}
	var counts []string
	for _, state := range states {
		if n := s.Instances[state]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, state))
		}
	}
	rows := [][]string{
		{"daemon", fmt.Sprintf("%s (pid %d)", s.Version, s.PID)},
		{"since", s.StartedAt.Format(time.RFC3339)},
		{"home", s.Home},
		{"cache", s.Cache},
		{"socket", s.Socket},
		{"front door", or(s.FrontDoor, "none")},
		{"API by TCP", or(s.Listen, "none")},
		{"backend", backend(s.Backend, s.Accelerator, s.Isolation)},
		{"backends", backends(s.Backends)},
		{"confinement", or(s.Confinement, "none: nothing can be started")},
		{"limits", limitsRow(s)},
		{"ready", ready},
		{"templates", fmt.Sprintf("%d; %d of %d virtual machines wait", s.Templates, s.PoolReady, s.PoolSize)},
		{"instances", or(strings.Join(counts, ", "), "none")},
	}
	for _, w := range s.Warnings {
		rows = append(rows, []string{"warning", w})
	}
	return rows
}

// limitsRow says what control groups limit, and why not more.
func limitsRow(s client.Status) string {
	row := or(strings.Join(s.Limits, ", "), "none")
	if s.LimitsLack != "" {
		row += ": " + s.LimitsLack
	}
	if s.LimitsFix != "" {
		row += " (fix: " + s.LimitsFix + ")"
	}
	return row
}

// states in the order of a life.
var states = []string{"RUNNING", "STARTING", "PAUSED", "STOPPED"}

func backend(name, accelerator, isolation string) string {
	if name == "" {
		return "none"
	}
	return fmt.Sprintf("%s (%s, %s isolation)", name, accelerator, isolation)
}

// backends says of each whether it is used, and why.
func backends(list []client.Backend) string {
	var out []string
	for _, b := range list {
		row := or(b.Build, b.Name) + ": " + b.Reason
		if b.Fix != "" {
			row += " (fix: " + b.Fix + ")"
		}
		out = append(out, row)
	}
	return or(strings.Join(out, "; "), "none")
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
