package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"aegis/internal/fault"
	"aegis/internal/version"
)

// man writes the manual pages, for an installation. It is hidden from help. The
// library dates them by SOURCE_DATE_EPOCH, or else today.
func (a *app) man() *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write the manual pages into a directory", Hidden: true, Args: a.one("DIR"),
		RunE: a.do(func(_ context.Context, cmd *cobra.Command, args []string) error {
			dir := args[0]
			err := os.MkdirAll(dir, 0o755)
			if err == nil {
				root := cmd.Root()
				root.DisableAutoGenTag = true
				err = doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Aegis " + version.Version, Manual: "Aegis"}, dir)
			}
			if err != nil {
				return fault.New(fault.Invalid, dir, "write the manual pages into "+quote(dir), "%w", bare(err))
			}
			return nil
		})}
}
