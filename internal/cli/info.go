package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/config"
)

func (a *app) info() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "info NAME", Short: "Show everything about an instance", Args: a.one("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			i, err := c.Info(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(i)
			}
			return a.table(nil, infoRows(i))
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func infoRows(i client.Instance) [][]string {
	rows := [][]string{
		{"name", i.Name},
		{"id", i.ID},
		{"state", stateLine(i)},
		{"image", i.Image},
		{"platform", i.Platform},
		{"command", or(strings.Join(i.Command, " "), "-")},
		{"workdir", or(i.Workdir, "-")},
		{"user", or(i.User, "root")},
		{"workspace", workspaceLine(i.Workspace)},
	}
	for _, p := range i.Ports {
		rows = append(rows, []string{"port", fmt.Sprintf("%d/%s at %s", p.Guest, p.Protocol, p.URL)})
	}
	for _, name := range slices.Sorted(maps.Keys(i.Env)) {
		rows = append(rows, []string{"env", name + "=" + i.Env[name]})
	}
	for _, name := range i.Secrets {
		line := name
		if slices.Contains(i.StaleSecrets, name) {
			line += " (changed since this start)"
		}
		rows = append(rows, []string{"secret", line})
	}
	for _, name := range slices.Sorted(maps.Keys(i.Labels)) {
		rows = append(rows, []string{"label", name + "=" + i.Labels[name]})
	}
	return append(append(rows, resourceRows(i)...), historyRows(i)...)
}

func stateLine(i client.Instance) string {
	line := i.State
	if len(i.AwakeBecause) > 0 {
		line += "; awake: " + strings.Join(i.AwakeBecause, ", ")
	}
	if i.PausesAt != nil {
		line += "; pauses at " + stamp(*i.PausesAt)
	}
	return line
}

func workspaceLine(w *client.Workspace) string {
	switch {
	case w == nil:
		return "-"
	case w.ReadOnly:
		return w.Path + " (read-only)"
	}
	return w.Path
}

func resourceRows(i client.Instance) [][]string {
	memory := config.HumanSize(i.Memory)
	if i.MemoryUsed > 0 {
		memory += ", " + config.HumanSize(i.MemoryUsed) + " in use on the host"
	}
	rows := [][]string{
		{"cpus", fmt.Sprint(i.CPUs)},
		{"memory", memory},
		{"disk", config.HumanSize(i.Disk) + ", " + config.HumanSize(i.DiskUsed) + " in use on the host"},
		{"net", netLine(i)},
		{"backend", backend(i.Backend, i.Accelerator, i.Isolation)},
		{"confinement", or(i.Confinement, "-")},
		{"limits", limitsLine(i)},
		{"pause after", i.PauseAfter},
		{"stop after", i.StopAfter},
		{"restart", i.Restart},
	}
	if i.CPUUsed != "" {
		rows = append(rows, []string{"cpu used", cpuTime(i.CPUUsed)})
	}
	if n := i.NetUsed; n != nil {
		rows = append(rows, []string{"net used", fmt.Sprintf("%s in, %s out, %d DNS questions, %d denied", config.HumanSize(int64(n.Received)), config.HumanSize(int64(n.Sent)), n.Queries, n.Denied)})
	}
	return rows
}

// limitsLine says what holds the processes on the host.
func limitsLine(i client.Instance) string {
	switch {
	case i.Limits != nil:
	case i.State == "RUNNING" || i.State == "PAUSED":
		return "none: aegis status says why"
	default:
		return "-"
	}
	var said []string
	if n := i.Limits.Memory; n > 0 {
		said = append(said, config.HumanSize(n)+" of memory")
	}
	if n := i.Limits.PIDs; n > 0 {
		said = append(said, fmt.Sprintf("%d processes and threads", n))
	}
	if n := i.Limits.CPUWeight; n > 0 {
		said = append(said, fmt.Sprintf("CPU weight %d", n))
	}
	return strings.Join(said, ", ")
}

func netLine(i client.Instance) string {
	if list := slices.Concat(i.AllowHosts, i.AllowCIDRs); len(list) > 0 {
		return i.Net + ", only " + strings.Join(list, ", ")
	}
	return i.Net
}

func historyRows(i client.Instance) [][]string {
	rows := [][]string{{"created", stamp(i.CreatedAt)}}
	if i.StartedAt != nil {
		rows = append(rows, []string{"started", stamp(*i.StartedAt)})
	}
	if i.StoppedAt != nil {
		rows = append(rows, []string{"stopped", stamp(*i.StoppedAt)})
	}
	if i.HeldUntil != nil {
		rows = append(rows, []string{"held until", stamp(*i.HeldUntil) + ": its command keeps ending at once"})
	}
	if e := i.Exit; e != nil {
		rows = append(rows, []string{"last exit", exitLine(e)})
	}
	for _, w := range i.Wakes {
		line := fmt.Sprintf("%s from %s in %.0f ms", stamp(w.At), w.From, w.MS)
		if w.Origin != "" {
			line = fmt.Sprintf("%s from %s (%s) in %.0f ms", stamp(w.At), w.From, w.Origin, w.MS)
		}
		for _, stage := range slices.Sorted(maps.Keys(w.Stages)) {
			line += fmt.Sprintf(", %s %.0f", stage, w.Stages[stage])
		}
		rows = append(rows, []string{"wake", line})
	}
	return rows
}

func exitLine(e *client.Exit) string {
	line := fmt.Sprintf("%s, code %d", e.Reason, e.Code)
	if e.Signal != 0 {
		line = fmt.Sprintf("%s, signal %d", e.Reason, e.Signal)
	}
	line += ", at " + stamp(e.At)
	if e.Error != "" {
		line += ": " + e.Error
	}
	return line
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }
