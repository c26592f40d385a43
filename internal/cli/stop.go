package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
)

func (a *app) stop() *cobra.Command {
	grace := ""
	cmd := &cobra.Command{Use: "stop NAME...", Short: "End the command, then the VM; the disk stays", Args: a.some("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			wait, err := parseGrace(grace)
			if err != nil {
				return err
			}
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error { return c.Stop(ctx, name, wait) })
		})}
	graceFlag(cmd, &grace)
	return cmd
}

func graceFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "time", "", "`TIME` between SIGTERM and SIGKILL, like 10s; a number is seconds")
}

// parseGrace is negative, the daemon's default, for an absent flag.
func parseGrace(text string) (time.Duration, error) {
	if text == "" {
		return -1, nil
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, text, "read --time", "%.40q is not a time of 0 or more, like 10s", text)
	}
	return d, nil
}
