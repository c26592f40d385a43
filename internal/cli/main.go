package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"aegis/internal/fault"
)

// app is one run of the command: what it reads and writes, and its global flags.
type app struct {
	in  *os.File
	out io.Writer
	err io.Writer
	env func(string) string

	noAutostart bool
	verb        string // path of the command that runs, like "instance start"
	begun       bool   // the command line was right
	meant       string // the command line that a wrong one stood for, if that is known
	settingUp   bool   // setup was tried, so that it is no advice
	platform    string // what setup is for; empty: the host's
	copying     place  // what cp copies to or from
	process     bool   // the exit status stands for a process in a guest
}

// Main runs one command with the process's own files and environment, and
// returns its exit status: 0, 1 (it failed) or 2 (wrong usage); of run, exec,
// shell and instance wait the process's own, or 125, 126, 127.
func Main(args []string) int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}
	root := a.root()
	root.SetArgs(args)
	return a.exit(root.ExecuteContext(context.Background()))
}

// status ends the command silently with an exit status.
type status int

func (status) Error() string { return "ended" }

// exit prints an error, unless it is a mere status, and gives its exit status.
func (a *app) exit(err error) int {
	var code status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	f := fault.As(err)
	if !a.begun && f.Kind == fault.Internal { // cobra's own refusals have no kind
		f = fault.New(fault.Usage, "", "read the command line", "%w", err)
	}
	a.report(f)
	if a.process {
		return f.Kind.ExitProcess()
	}
	return f.Kind.Exit()
}

// followed is how a command that may follow has ended: Ctrl-C is how one stops
// following, whenever it comes, and no failure.
func followed(ctx context.Context, follow bool, err error) error {
	if follow && ctx.Err() != nil {
		return nil
	}
	return err
}

// verbFunc is a command's body. args are those that its check let through.
type verbFunc func(ctx context.Context, cmd *cobra.Command, args []string) error

// do makes a body cobra's; SIGINT and SIGTERM end its context.
func (a *app) do(f verbFunc) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.begun = true
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return f(ctx, cmd, args)
	}
}
