package cli

import (
	"context"
	"os"
	"syscall"
	"time"

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
			s, err := a.answering(ctx)
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

// answering returns what a daemon says of itself. One that was just killed may
// still take a connection, which then ends without an answer: it is asked again,
// until it is gone and connect starts its successor.
func (a *app) answering(ctx context.Context) (client.Status, error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		c, err := a.connect(ctx)
		if err != nil {
			return client.Status{}, err
		}
		s, err := c.Status(ctx)
		if !fault.Is(err, fault.Unreachable) || time.Now().After(deadline) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return client.Status{}, &fault.Error{Kind: fault.Cancelled, What: startDaemon, Why: "it was cancelled"}
		case <-time.After(pollEvery):
		}
	}
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
