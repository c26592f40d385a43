package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) restart() *cobra.Command {
	grace := ""
	cmd := &cobra.Command{Use: "restart NAME...", Short: "Stop instances that run, then start them", Args: a.some("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			wait, err := parseGrace(grace)
			if err != nil {
				return err
			}
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error {
				_, err := c.Restart(ctx, name, wait)
				return err
			})
		})}
	graceFlag(cmd, &grace)
	return cmd
}
