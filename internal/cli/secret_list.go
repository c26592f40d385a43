package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) secretList() *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{Use: "list", Short: "List the names of stored secrets", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			all, err := c.Secrets(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(all)
			}
			var rows [][]string
			for _, s := range all {
				if quiet {
					fmt.Fprintln(a.out, s.Name)
				}
				rows = append(rows, []string{s.Name, stamp(s.UpdatedAt)})
			}
			if quiet {
				return nil
			}
			return a.table([]string{"NAME", "UPDATED"}, rows)
		})}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print names alone")
	return cmd
}
