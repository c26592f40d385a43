package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) events() *cobra.Command {
	follow := false
	cmd := &cobra.Command{Use: "events", Short: "Print what happened to instances, as NDJSON",
		Long: "Print what happened to instances since the daemon began, the last 1000 events, one JSON object a line.",
		Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return followed(ctx, follow, a.printEvents(ctx, follow))
		})}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens next")
	return cmd
}

func (a *app) printEvents(ctx context.Context, follow bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	lines, err := c.Events(ctx, follow)
	if err != nil {
		return err
	}
	defer lines.Close()
	_, err = io.Copy(a.out, lines)
	return err
}
