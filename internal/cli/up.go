package cli

import (
	"context"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

func (a *app) up() *cobra.Command {
	foreground := false
	cmd := &cobra.Command{Use: "up", Short: "Start the daemon", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			if foreground {
				return a.foreground(ctx)
			}
			a.noAutostart = false
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			a.note("aegisd %s is up (pid %d)", s.Version, s.PID)
			for _, w := range s.Warnings {
				a.note("warning: %s", w)
			}
			return nil
		})}
	cmd.Flags().BoolVar(&foreground, "foreground", false, "be the daemon, until a signal or aegis down")
	return cmd
}

// foreground replaces this process with aegisd.
func (a *app) foreground(ctx context.Context) error {
	home, err := paths.Locate(a.env)
	if err != nil {
		return err
	}
	if _, err := client.New(home.Socket()).Version(ctx); !fault.Is(err, fault.Unreachable) {
		a.note("aegisd is up already")
		return err
	}
	program, err := a.findDaemon()
	if err != nil {
		return err
	}
	if err := home.Prepare(); err != nil {
		return err
	}
	err = syscall.Exec(program, []string{daemonProgram}, a.daemonEnv(os.Environ()))
	return fault.New(fault.Unreachable, "", startDaemon, "%w", err)
}
