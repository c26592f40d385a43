package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/version"
	"aegis/internal/wire"
)

func (a *app) version() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "version", Short: "Print the version of this program", Args: a.none,
		RunE: a.do(func(context.Context, *cobra.Command, []string) error {
			v := client.Version{Version: version.Version, API: version.API, Guest: fmt.Sprintf("%d.%d", wire.Major, wire.Minor)}
			if asJSON {
				return a.json(v)
			}
			_, err := fmt.Fprintf(a.out, "aegis %s (API %s, guest protocol %s)\n", v.Version, v.API, v.Guest)
			return err
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}
