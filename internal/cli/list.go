package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) list() *cobra.Command {
	var asJSON, quiet, running, stopped bool
	var labels []string
	cmd := &cobra.Command{Use: "list", Short: "List instances", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			want := func(i client.Instance) bool {
				return (!running || i.State == "RUNNING") && (!stopped || i.State == "STOPPED") && labelled(i, labels)
			}
			return a.listing(ctx, want, asJSON, quiet)
		})}
	jsonFlag(cmd, &asJSON)
	quietFlag(cmd, &quiet)
	cmd.Flags().BoolVar(&running, "running", false, "only those that are RUNNING")
	cmd.Flags().BoolVar(&stopped, "stopped", false, "only those that are STOPPED")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "only those with this `K[=V]` (many)")
	cmd.MarkFlagsMutuallyExclusive("running", "stopped")
	return cmd
}

// ps is list, under the name that fingers know.
func (a *app) ps() *cobra.Command {
	cmd := a.list()
	cmd.Use = "ps"
	return cmd
}

func (a *app) listing(ctx context.Context, want func(client.Instance) bool, asJSON, quiet bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	all, err := c.List(ctx)
	if err != nil {
		return err
	}
	chosen := []client.Instance{}
	for _, i := range all {
		if want(i) {
			chosen = append(chosen, i)
		}
	}
	switch {
	case asJSON:
		return a.json(chosen)
	case quiet:
		for _, i := range chosen {
			fmt.Fprintln(a.out, i.ID)
		}
		return nil
	}
	return a.table([]string{"NAME", "ID", "STATE", "PORTS", "COMMAND"}, listRows(chosen))
}

func listRows(list []client.Instance) [][]string {
	var rows [][]string
	for _, i := range list {
		var ports []string
		for _, p := range i.Ports {
			ports = append(ports, fmt.Sprintf("%s:%d->%d/%s", p.IP, p.Host, p.Guest, p.Protocol))
		}
		rows = append(rows, []string{i.Name, i.ID, i.State, or(strings.Join(ports, ", "), "-"), or(shorten(strings.Join(i.Command, " ")), "-")})
	}
	return rows
}

// commandWidth is how much of a command a table shows, in characters.
const commandWidth = 40

func shorten(text string) string {
	if r := []rune(text); len(r) > commandWidth {
		return string(r[:commandWidth-1]) + "…"
	}
	return text
}

func labelled(i client.Instance, labels []string) bool {
	for _, l := range labels {
		key, value, given := strings.Cut(l, "=")
		got, ok := i.Labels[key]
		if !ok || given && got != value {
			return false
		}
	}
	return true
}
