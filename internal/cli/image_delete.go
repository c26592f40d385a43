package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) imageDelete() *cobra.Command {
	platform := ""
	cmd := &cobra.Command{Use: "delete IMAGE...", Short: "Delete images that no instance needs",
		Long: "Take names away, and with the last one of an image the image and its layers. By a digest, or the\n" +
			"beginning of one as `image list` shows it, the image goes with all its names.",
		Args: a.some("IMAGE"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return a.many(ctx, args, func(ctx context.Context, c *client.Client, name string) error {
				return c.DeleteImage(ctx, name, platform)
			})
		})}
	platformFlag(cmd, &platform)
	return cmd
}
