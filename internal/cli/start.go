package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"aegis/client"
	"aegis/internal/fault"
)

func (a *app) start() *cobra.Command {
	s, asJSON, quiet := &spec{}, false, false
	cmd := &cobra.Command{Use: "start [FLAGS] [-- COMMAND...]", Short: "Create an instance and start it, or start one again by --name",
		Long: "Create an instance and start it. With --name alone, start the one that has this name as it was created,\n" +
			"or resume it. With --recreate, put a new one in its place: the old one is stopped and deleted with its\n" +
			"disk and log, but not its workspace, and host ports stay those of the same guest ports.",
		Args: a.beforeDash(0, false),
		RunE: a.do(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			create, err := s.create(a, cmd, args)
			if err != nil {
				return err
			}
			if create.Recreate && create.Name == "" {
				return fault.New(fault.Invalid, "", "read --recreate", "--name is missing: which instance is to be replaced")
			}
			c, err := a.connectReady(ctx, create.Image, create.Platform, s.pull)
			if err != nil {
				return err
			}
			shown := a.waiting(create.Name)
			defer shown.stop()
			var i client.Instance
			if onlyName(cmd, args) {
				i, err = a.startAgain(ctx, c, create)
			} else {
				i, err = a.startNew(ctx, c, create)
			}
			if err != nil {
				return err
			}
			shown.stop()
			return a.printStarted(i, asJSON, quiet)
		})}
	s.bind(cmd)
	cmd.Flags().BoolVar(&s.Recreate, "recreate", false, "replace the instance of that name")
	jsonFlag(cmd, &asJSON)
	quietFlag(cmd, &quiet)
	return cmd
}

// onlyName reports whether nothing but --name describes the instance.
func onlyName(cmd *cobra.Command, args []string) bool {
	only := cmd.Flags().Changed("name") && len(args) == 0
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "name", "json", "quiet", "no-autostart", "pull":
		default:
			only = false
		}
	})
	return only
}

// startAgain starts the instance of that name, or makes one.
func (a *app) startAgain(ctx context.Context, c *client.Client, create client.Create) (client.Instance, error) {
	_, err := c.Info(ctx, create.Name)
	if fault.Is(err, fault.NotFound) {
		return a.startNew(ctx, c, create)
	}
	if err != nil {
		return client.Instance{}, err
	}
	return c.Start(ctx, create.Name)
}

// startNew leaves nothing behind when the start fails.
func (a *app) startNew(ctx context.Context, c *client.Client, create client.Create) (client.Instance, error) {
	made, err := c.Create(ctx, create)
	if fault.Is(err, fault.NameTaken) {
		f := *fault.As(err)
		f.Why += ", and starts as it was created; --recreate replaces it"
		return made, &f
	}
	if err != nil {
		return made, err
	}
	started, err := c.Start(ctx, made.ID)
	if err != nil {
		a.remove(c, made.ID, false)
	}
	return started, err
}

func (a *app) printStarted(i client.Instance, asJSON, quiet bool) error {
	switch {
	case asJSON:
		return a.json(i)
	case quiet:
		_, err := fmt.Fprintln(a.out, i.ID)
		return err
	}
	fmt.Fprintln(a.out, i.Name)
	for _, p := range i.Ports {
		fmt.Fprintln(a.out, p.URL)
	}
	return nil
}
