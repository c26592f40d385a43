package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) wait() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "wait NAME", Short: "Wait until an instance stops, and exit as its command did",
		Long: "Wait until an instance stops, and exit as its command did: with its code, 128+n after signal n,\n" +
			"or 125 when Aegis itself ended it before it could. One that is STOPPED already is not waited for.",
		Args: a.one("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			a.process = true
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			exit, err := c.Wait(ctx, args[0])
			if ctx.Err() != nil {
				return interrupted
			}
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.json(exit); err != nil {
					return err
				}
			}
			return a.waited(args[0], exit)
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// aegisFailed is the exit status of a life that no process has ended.
const aegisFailed status = 125

// waited is the exit status of a life. A VM that broke has no code of its own,
// and 0 would say that all went well.
func (a *app) waited(name string, exit client.Exit) error {
	if exit.Error != "" {
		a.note("instance %s ended: %s: %s", name, exit.Reason, exit.Error)
	}
	code := client.ExitStatus{Code: exit.Code, Signal: exit.Signal}.Status()
	switch exit.Reason {
	case "boot-failed", "vm-died", "guest-panic":
		if code == 0 {
			return aegisFailed
		}
	}
	return status(code)
}
