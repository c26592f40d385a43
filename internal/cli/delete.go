package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) delete() *cobra.Command {
	force := false
	cmd := &cobra.Command{Use: "delete NAME...", Short: "Delete instances and all they used, but no workspace", Args: a.some("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error { return c.Delete(ctx, name, force) })
		})}
	cmd.Flags().BoolVar(&force, "force", false, "stop them first")
	return cmd
}
