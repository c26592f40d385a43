package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
)

func (a *app) imagePull() *cobra.Command {
	in, asJSON, quiet := client.PullImage{When: pullAlways}, false, false
	cmd := &cobra.Command{Use: "pull REFERENCE", Short: "Bring an image from its registry",
		Long: "Bring an image from its registry, or what has changed of it. Names are docker's: alpine is\n" +
			"docker.io/library/alpine:latest. The credentials of `docker login` are used, and its helpers.\n" +
			"Registries of this machine (localhost:5000/app) need no TLS.",
		Args: a.one("REFERENCE"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			in.Image = args[0]
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			i, err := a.pullImage(ctx, c, in)
			if err != nil {
				return err
			}
			return a.printTaken(i, asJSON, quiet)
		})}
	platformFlag(cmd, &in.Platform)
	jsonFlag(cmd, &asJSON)
	digestFlag(cmd, &quiet)
	return cmd
}

// pullImage brings an image and shows how far it is.
func (a *app) pullImage(ctx context.Context, c *client.Client, in client.PullImage) (client.Image, error) {
	tell, end := a.takes()
	defer end()
	return c.PullImage(ctx, in, tell)
}

// takes is steps of what reports often: where standard error is no terminal, a line for
// what is begun, and else one every plainEvery.
func (a *app) takes() (tell func(client.Progress), end func()) {
	say, end := a.steps()
	if a.live() {
		return say, end
	}
	var said string
	var last time.Time
	return func(p client.Progress) {
		if now := time.Now(); p.Message != said || now.Sub(last) > plainEvery {
			said, last = p.Message, now
			say(p)
		}
	}, end
}

// printTaken prints what a pull or an import has brought: its names, or its digest.
func (a *app) printTaken(i client.Image, asJSON, quiet bool) error {
	switch {
	case asJSON:
		return a.json(i)
	case quiet || len(i.Names) == 0:
		return a.say(i.Digest)
	}
	return a.say(i.Names...)
}
