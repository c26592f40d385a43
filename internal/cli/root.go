package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"aegis/internal/fault"
)

// Commands is the tree of commands, to be read: for the manual pages.
func Commands() *cobra.Command {
	return (&app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}).root()
}

// root is the tree of commands, all in one place.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "aegis", Short: "Run untrusted processes in microVMs of their own",
		SilenceErrors: true, SilenceUsage: true, Args: a.noSuchCommand, RunE: help,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) { a.verb = verbOf(cmd) },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(a.badFlag)
	root.PersistentFlags().BoolVar(&a.noAutostart, "no-autostart", false, "fail instead of starting the daemon")
	root.AddCommand(a.setupCommand(), a.up(), a.down(), a.status(), a.doctor(), a.config(), a.version(),
		a.run(), a.exec(), a.shell(), a.cp(), a.logs(), a.events(), a.stats(), a.ps(),
		a.group("instance", "Start, look at and end instances", a.start(), a.list(), a.info(), a.stop(), a.restart(), a.wait(),
			a.pause(), a.resume(), a.hold(), a.release(), a.delete(), a.prune()),
		a.group("image", "Bring images and look after them", a.imageList(), a.imagePull(), a.imageImport(), a.imageInfo(), a.imageDelete()),
		a.group("system", "Look after the disk", a.systemDF(), a.systemPrune()),
		a.group("secret", "Keep secrets for instances", a.secretSet(), a.secretList(), a.secretDelete()))
	root.SetHelpCommand(a.helpCommand(root))
	a.tighten(root)
	a.complete(root)
	return root
}

// helpCommand refuses what is no command, where cobra's own prints and succeeds.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", Short: "Explain a command", RunE: func(cmd *cobra.Command, args []string) error {
		found, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			a.meant = meant(root, []string{args[0], "--help"})
			return a.usage(cmd, "there is no command %q", strings.Join(args, " "))
		}
		return found.Help()
	}}
}

// tighten makes cobra's completion command refuse what it doesn't know, and keeps
// to the shells of the platforms that Aegis runs on.
func (a *app) tighten(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	completion.Args = a.noSuchCommand
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return a.usage(cmd, "it needs a command") }
	for _, shell := range completion.Commands() {
		shell.Args = a.none
		if shell.Name() == "powershell" {
			completion.RemoveCommand(shell)
		}
	}
}

// group is a command that only has commands.
func (a *app) group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: name + " COMMAND", Short: short, Args: a.noSuchCommand, RunE: func(cmd *cobra.Command, _ []string) error {
		return a.usage(cmd, "it needs a command")
	}}
	g.AddCommand(commands...)
	return g
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// verbOf is a command's path without the program's name.
func verbOf(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	if above := verbOf(cmd.Parent()); above != "" {
		return above + " " + cmd.Name()
	}
	return cmd.Name()
}

// usage is an error of the command line itself.
func (a *app) usage(cmd *cobra.Command, why string, args ...any) error {
	a.verb = verbOf(cmd)
	what := "read the command line"
	if a.verb != "" {
		what = "read the arguments of " + a.verb
	}
	return fault.New(fault.Usage, "", what, why, args...)
}

// badFlag is the refusal of a flag; of a command that is none, that comes first.
func (a *app) badFlag(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return a.noSuchCommand(cmd, append(args, "--help"))
	}
	if text := err.Error(); verbOf(cmd) == "run" && (strings.HasPrefix(text, "unknown shorthand flag: 'd' in -d") || text == "unknown flag: --detach") {
		a.meant = "aegis instance start --help" // which is what docker's run does then
	}
	return a.usage(cmd, "%w", err)
}

func (a *app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	a.meant = meant(cmd, args)
	return a.usage(cmd, "there is no command %q", args[0])
}
