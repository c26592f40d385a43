package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

func (a *app) exec() *cobra.Command {
	var e client.Exec
	var env []string
	var timeout time.Duration
	cmd := &cobra.Command{Use: "exec [FLAGS] NAME -- COMMAND...", Short: "Run one more command in an instance",
		Args: a.beforeDash(1, true),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.begun, a.process = true, true
			if cmd.Flags().Changed("timeout") && timeout <= 0 {
				return fault.New(fault.Invalid, "", "read --timeout", "%s is not above 0", timeout)
			}
			var err error
			if e.Env, err = a.environment(nil, env); err != nil {
				return err
			}
			e.Command = args[1:]
			return a.execIn(cmd.Context(), args[0], e, timeout)
		}}
	terminalFlags(cmd, &e.TTY)
	processFlags(cmd, &e, &env)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "end the command after this `TIME`")
	return cmd
}

// processFlags are those of one more process in an instance.
func processFlags(cmd *cobra.Command, e *client.Exec, env *[]string) {
	f := cmd.Flags()
	f.StringArrayVarP(env, "env", "e", nil, "`K=V`, or K to take this environment's value (many)")
	f.StringVarP(&e.Workdir, "workdir", "w", "", "`DIR` to run in; default: the instance's")
	f.StringVarP(&e.User, "user", "u", "", "`USER` to run as; default: the instance's")
}

func (a *app) execIn(ctx context.Context, name string, e client.Exec, timeout time.Duration) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if size, ok := a.size(); ok && e.TTY {
		e.Rows, e.Cols = int(size.Rows), int(size.Cols)
	}
	var u undo.Stack
	defer u.Run()
	at, err := a.attach(e.TTY, &u)
	if err != nil {
		return err
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err = at.until(ctx, func(ctx context.Context) (client.ExitStatus, error) { return c.Exec(ctx, name, e, at.IO) })
	if timeout > 0 && fault.Is(err, fault.Timeout) {
		return fault.New(fault.Timeout, name, fmt.Sprintf("run a command in %q", name), "it was ended after %s", timeout)
	}
	return err
}
