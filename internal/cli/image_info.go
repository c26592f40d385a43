package cli

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/config"
)

func (a *app) imageInfo() *cobra.Command {
	platform, asJSON := "", false
	cmd := &cobra.Command{Use: "info IMAGE", Short: "Describe an image", Args: a.one("IMAGE"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			i, err := c.Image(ctx, args[0], platform)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(i)
			}
			return a.printImage(i)
		})}
	platformFlag(cmd, &platform)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func platformFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "platform", "", "`OS/ARCH` that it is for, like linux/amd64; default: this machine's")
}

func (a *app) printImage(i client.Image) error {
	c := i.Config
	var env []string
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, k+"="+c.Env[k])
	}
	rows := [][]string{
		{"names", or(strings.Join(i.Names, ", "), "-")},
		{"digest", i.Digest},
		{"platform", i.Platform},
		{"size", config.HumanSize(i.Size)},
		{"created", stamp(i.CreatedAt)},
		{"used by", or(strings.Join(i.UsedBy, ", "), "-")},
		{"entrypoint", or(words(c.Entrypoint), "-")},
		{"command", or(words(c.Cmd), "-")},
		{"user", or(c.User, "root")},
		{"workdir", or(c.Workdir, "/")},
		{"exposes", or(strings.Join(c.Expose, ", "), "-")},
		{"environment", or(words(env), "-")},
	}
	return a.table(nil, rows)
}

// words are quoted as for a shell, so that it shows where each ends.
func words(list []string) string {
	var out []string
	for _, w := range list {
		out = append(out, quote(w))
	}
	return strings.Join(out, " ")
}
