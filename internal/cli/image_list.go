package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/config"
)

func (a *app) imageList() *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{Use: "list", Short: "List images", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			all, err := c.Images(ctx)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(all)
			case quiet:
				var digests []string
				for _, i := range all {
					digests = append(digests, i.Digest)
				}
				return a.say(digests...)
			}
			return a.table([]string{"NAME", "DIGEST", "PLATFORM", "SIZE", "CREATED", "USED BY"}, imageRows(all))
		})}
	jsonFlag(cmd, &asJSON)
	digestFlag(cmd, &quiet)
	return cmd
}

func digestFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVarP(to, "quiet", "q", false, "print digests alone")
}

// imageRows has a row for each name, and one for an image without any.
func imageRows(all []client.Image) (rows [][]string) {
	for _, i := range all {
		names := i.Names
		if len(names) == 0 {
			names = []string{"-"}
		}
		for _, n := range names {
			rows = append(rows, []string{n, shortDigest(i.Digest), i.Platform, config.HumanSize(i.Size), stamp(i.CreatedAt), or(strings.Join(i.UsedBy, ", "), "-")})
		}
	}
	return rows
}

// digestWidth is how much of a digest a table shows, in hexadecimal digits: it stands
// for the whole.
const digestWidth = 12

func shortDigest(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(len(hex), digestWidth)]
}
