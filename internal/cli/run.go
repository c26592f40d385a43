package cli

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

// deleteTimeout bounds the deletion at the end of a run.
const deleteTimeout = 30 * time.Second

// goes is why a run can't be kept.
const goes = "a run is deleted when its command ends; aegis instance start keeps one"

func (a *app) run() *cobra.Command {
	s, tty, remove, clock := &spec{}, false, true, &timings{last: time.Now()}
	cmd := &cobra.Command{Use: "run [FLAGS] [-- COMMAND...]", Short: "Run a command in an instance of its own, then delete that",
		Long: "Run a command in an instance of its own, then delete that. An image that is named may have a command of\n" +
			"its own; what goes behind -- replaces it, and stands behind the image's entry point.",
		Args: func(cmd *cobra.Command, args []string) error {
			return a.beforeDash(0, !cmd.Flags().Changed("image"))(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.begun, a.process = true, true
			create, err := s.create(a, cmd, args)
			if err != nil {
				return err
			}
			if create.Restart != "" && create.Restart != "no" {
				return fault.New(fault.Invalid, "", "read --restart", goes)
			}
			if !remove {
				return fault.New(fault.Invalid, "", "read --rm", goes)
			}
			create.Ephemeral, create.TTY = true, tty
			if size, ok := a.size(); ok && tty {
				create.Rows, create.Cols = int(size.Rows), int(size.Cols)
			}
			if clock.on {
				defer clock.print(a.err)
			}
			return a.runEphemeral(cmd.Context(), create, s.pull, clock)
		}}
	s.bind(cmd)
	cmd.Flags().BoolVar(&clock.on, "timings", false, "print on standard error what took how long, in milliseconds")
	terminalFlags(cmd, &tty)
	cmd.Flags().BoolVar(&remove, "rm", true, "delete the instance at the end (always on)")
	return cmd
}

// terminalFlags declares -t, and -i, which asks for what is always so.
func terminalFlags(cmd *cobra.Command, tty *bool) {
	cmd.Flags().BoolVarP(tty, "tty", "t", false, "give the command a terminal")
	cmd.Flags().BoolP("interactive", "i", true, "forward standard input (always on)")
}

// runEphemeral creates, runs attached and deletes. Until the run begins a signal
// ends the command; from then on it is the process's.
func (a *app) runEphemeral(parent context.Context, create client.Create, pull string, clock *timings) error {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := a.connectReady(ctx, create.Image, create.Platform, pull)
	if err != nil {
		return err
	}
	clock.mark("connect")
	shown := a.waiting(create.Name)
	defer shown.stop()
	made, err := c.Create(ctx, create)
	if err != nil {
		return err
	}
	clock.mark("create")
	ended := false
	defer func() {
		a.remove(c, made.ID, ended)
		clock.mark("delete")
	}()
	var u undo.Stack
	defer u.Run()
	at, err := a.attach(create.TTY, &u)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &fault.Error{Kind: fault.Cancelled, What: "run", Why: "it was cancelled"}
	}
	stop()
	at.Started = func(w client.Wake) {
		shown.stop()
		clock.started(w)
	}
	defer clock.mark("command")
	return at.until(parent, func(ctx context.Context) (client.ExitStatus, error) {
		exit, err := c.Run(ctx, made.ID, at.IO)
		ended = err == nil
		return exit, err
	})
}

// remove deletes what a command made for itself, also after Ctrl-C. The daemon
// may have done so already, or may be at it. Once the command has ended nobody waits for
// its VM.
func (a *app) remove(c *client.Client, id string, ended bool) {
	ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
	defer cancel()
	remove := func() error { return c.Delete(ctx, id, true) }
	if ended {
		remove = func() error { return c.Dismiss(ctx, id) }
	}
	err := remove()
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.WrongState) {
		a.note("aegis: %v", err)
	}
}
