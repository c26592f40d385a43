package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) prune() *cobra.Command {
	const flag = "stopped-older-than"
	age, asJSON := "", false
	cmd := &cobra.Command{Use: "prune --" + flag + " TIME", Short: "Delete instances that stopped long ago, with their logs and disks",
		Long: "Delete the instances that have been STOPPED for longer than a time, with their logs and disks,\n" +
			"and print their names. Workspaces stay.",
		Args: a.none,
		RunE: a.do(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			if age == "" {
				return a.usage(cmd, "--%s is missing", flag)
			}
			d, err := parseDays(flag, age)
			if err != nil {
				return err
			}
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			shown := a.waiting()
			names, err := c.Prune(ctx, d)
			shown.stop()
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(names)
			}
			return a.say(names...)
		})}
	cmd.Flags().StringVar(&age, flag, "", "`TIME` like 7d, 36h or 0s")
	jsonFlag(cmd, &asJSON)
	return cmd
}
