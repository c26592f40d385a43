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

func (a *app) down() *cobra.Command {
	return &cobra.Command{Use: "down", Short: "Stop the daemon and every VM; records, logs and disks stay", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			home, err := paths.Locate(a.env)
			if err != nil {
				return err
			}
			c := client.New(home.Socket())
			if _, err := c.Version(ctx); fault.Is(err, fault.Unreachable) {
				if running, err := os.ReadDir(home.Runs()); err != nil || len(running) == 0 {
					a.note("aegisd is down already")
					return nil
				}
				// A daemon that was killed has left VMs running: its successor ends them.
				if a.noAutostart {
					return err
				}
				if err := a.launch(ctx, home); err != nil {
					return err
				}
			}
			shown := a.waiting()
			defer shown.stop()
			if err := c.Down(ctx); err != nil {
				return err
			}
			if err := waitGone(ctx, home, c); err != nil {
				return err
			}
			shown.stop()
			a.note("aegisd is down")
			return nil
		})}
}

// waitGone returns when the daemon answers no more and its lock is free.
func waitGone(ctx context.Context, home paths.Home, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		_, err := c.Version(ctx)
		if fault.Is(err, fault.Unreachable) && lockFree(home.Lock()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Timeout, What: "stop the daemon", Why: "it has stopped its VMs and does not end"}
		case <-time.After(pollEvery):
		}
	}
}

// lockFree reports whether no daemon holds the lock. It takes the lock for a
// moment; a daemon that starts just then is started again by its caller (launch).
func lockFree(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return true
	}
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
