package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"aegis/client"
	"aegis/internal/fault"
)

func (a *app) secretSet() *cobra.Command {
	var file, variable string
	cmd := &cobra.Command{Use: "set NAME", Short: "Store a secret from standard input, a file or a variable",
		Long: "Store a secret. The value comes from standard input, without echo when that is a terminal.\n" +
			"One newline at the end of standard input or of a file is not part of it.",
		Args: a.secretName,
		RunE: a.do(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			value, err := a.secretValue(cmd, args[0], file, variable)
			if err != nil {
				return err
			}
			defer clear(value)
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			return c.SetSecret(ctx, args[0], value)
		})}
	cmd.Flags().StringVar(&file, "from-file", "", "read the value from `FILE`")
	cmd.Flags().StringVar(&variable, "from-env", "", "take the value of variable `VAR`")
	cmd.MarkFlagsMutuallyExclusive("from-file", "from-env")
	return cmd
}

// secretName refuses a value on the command line, and never repeats it.
func (a *app) secretName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return a.usage(cmd, "NAME is missing")
	}
	if len(args) > 1 || strings.Contains(args[0], "=") {
		return a.usage(cmd, "a value as an argument is refused: other users could see it in the list of processes; give it on standard input")
	}
	return nil
}

func (a *app) secretValue(cmd *cobra.Command, name, file, variable string) ([]byte, error) {
	what := fmt.Sprintf("read the value of secret %q", name)
	var value []byte
	var err error
	switch {
	case cmd.Flags().Changed("from-env"):
		value = []byte(a.env(variable))
		if len(value) == 0 {
			return nil, fault.New(fault.Invalid, name, what, "variable %q is empty or not set", variable)
		}
	case cmd.Flags().Changed("from-file"):
		value, err = readFile(file)
	case term.IsTerminal(int(a.in.Fd())):
		fmt.Fprintf(a.err, "value of %s: ", clean(name))
		value, err = term.ReadPassword(int(a.in.Fd()))
		fmt.Fprintln(a.err)
	default:
		value, err = readValue(a.in)
	}
	switch {
	case err != nil:
		return nil, fault.New(fault.Invalid, name, what, "%w", err)
	case len(value) == 0:
		return nil, fault.New(fault.Invalid, name, what, "it is empty")
	case len(value) > client.MaxSecret:
		return nil, fault.New(fault.Invalid, name, what, "it has more than %d bytes", client.MaxSecret)
	}
	return value, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readValue(f)
}

// readValue reads a little more than what is allowed, so that too much is seen.
func readValue(r io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, client.MaxSecret+3))
	value, cut := bytes.CutSuffix(value, []byte("\n"))
	if cut {
		value = bytes.TrimSuffix(value, []byte("\r"))
	}
	return value, err
}
