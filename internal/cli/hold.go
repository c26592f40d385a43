package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) hold() *cobra.Command {
	length, reason, asJSON := "", "", false
	cmd := &cobra.Command{Use: "hold NAME", Short: "Keep an instance awake for a time, whatever it does",
		Long: "Keep an instance awake for a time, whatever it does. A paused one is resumed. A later hold takes\n" +
			"the place of an earlier one; release and the end of the instance drop it.",
		Args: a.one("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			d, err := parseDays("for", length)
			if err != nil {
				return err
			}
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			i, err := c.Hold(ctx, args[0], d, reason)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(i)
			}
			return a.say(i.Name)
		})}
	cmd.Flags().StringVar(&length, "for", "10m", "a `TIME` from 1s to 24h")
	cmd.Flags().StringVar(&reason, "reason", "aegis instance hold", "`TEXT` that info shows")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) release() *cobra.Command {
	return &cobra.Command{Use: "release NAME...", Short: "Drop the leases of instances, so that they may pause", Args: a.some("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error {
				_, err := c.Release(ctx, name)
				return err
			})
		})}
}
