package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) resume() *cobra.Command {
	return &cobra.Command{Use: "resume NAME...", Short: "Let paused instances go on", Args: a.some("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error { return c.Resume(ctx, name) })
		})}
}
