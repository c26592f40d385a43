package cli

import (
	"github.com/spf13/cobra"
)

// none refuses every argument.
func (a *app) none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return a.usage(cmd, "unexpected argument %q", args[0])
	}
	return nil
}

// one wants just one argument, which label names.
func (a *app) one(label string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return a.usage(cmd, "%s is missing", label)
		case len(args) > 1:
			return a.usage(cmd, "unexpected argument %q", args[1])
		}
		return nil
	}
}

// some wants at least one argument.
func (a *app) some(label string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.usage(cmd, "%s is missing", label)
		}
		return nil
	}
}

// beforeDash wants n arguments before "--" and, if needed, a command behind it.
func (a *app) beforeDash(n int, needed bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		dash := cmd.ArgsLenAtDash()
		before := len(args)
		if dash >= 0 {
			before = dash
		}
		switch {
		case before < n:
			return a.usage(cmd, "NAME is missing")
		case before > n:
			return a.usage(cmd, "unexpected argument %q: a command goes behind --", args[n])
		case needed && len(args) == before:
			return a.usage(cmd, "the command is missing: it goes behind --")
		}
		return nil
	}
}
