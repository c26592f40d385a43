package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) setupCommand() *cobra.Command {
	return &cobra.Command{Use: "setup", Short: "Make what a first start needs and is missing", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			if err := a.setUp(ctx, c); err != nil {
				return err
			}
			a.note("ready")
			return nil
		})}
}

// progress prints one step of a setup.
func (a *app) progress(p client.Progress) {
	switch {
	case p.Total > 0:
		a.note("%s: %s (%d%%)", p.Step, p.Message, 100*p.Done/p.Total)
	case p.Message != "":
		a.note("%s: %s", p.Step, p.Message)
	default:
		a.note("%s", p.Step)
	}
}
