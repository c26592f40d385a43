package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/tree"
)

// copyFlags are those of cp.
type copyFlags struct{ archive, follow, unsafe bool }

// place is what cp copies from or to: NAME:PATH, a path here, or "-".
type place struct {
	name string // of the instance; empty: here
	path string // "-": a tar stream
	args string // of the whole command, for a hint
}

func (a *app) cp() *cobra.Command {
	var flags copyFlags
	cmd := &cobra.Command{Use: "cp [FLAGS] SRC DST", Short: "Copy files into an instance or out of it",
		Long: "Copy a file or a directory, with what is in it, into an instance or out of it. One of SRC and DST is NAME:PATH,\n" +
			"the other a path here, or - for a tar stream on standard input or output.\n\n" +
			"A file or directory goes into DST where that is a directory, else it becomes DST, whose parent must be there.\n" +
			"A SRC that ends in /. is what the directory holds. Modes and times are kept, links stay links. What is copied\n" +
			"in belongs to the instance's user, what is copied out to you. Devices, pipes and sockets are left out.\n" +
			"A path here with a colon begins with ./ or /. A PAUSED instance is resumed.",
		RunE: a.do(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			src, dst, err := a.parsePlaces(cmd, args)
			if err != nil {
				return err
			}
			if dst.name != "" {
				return a.copyIn(ctx, cmd, src.path, dst, flags)
			}
			return a.copyOut(ctx, cmd, src, dst.path, flags)
		})}
	f := cmd.Flags()
	f.BoolVarP(&flags.archive, "archive", "a", false, "keep owners, by their numbers, of what is copied in")
	f.BoolVarP(&flags.follow, "follow-link", "L", false, "copy what a SRC that is a link leads to")
	f.BoolVar(&flags.unsafe, "unsafe-links", false, "copy out links that lead out of what is copied, too")
	return cmd
}

// parsePlaces reads SRC and DST, of which one is in an instance.
func (a *app) parsePlaces(cmd *cobra.Command, args []string) (src, dst place, err error) {
	switch {
	case len(args) < 2:
		return src, dst, a.usage(cmd, "%s is missing", []string{"SRC", "DST"}[len(args)])
	case len(args) > 2:
		return src, dst, a.usage(cmd, "unexpected argument %q", args[2])
	}
	src, dst = parsePlace(args[0]), parsePlace(args[1])
	if (src.name == "") == (dst.name == "") {
		return src, dst, a.usage(cmd, "one of SRC and DST is NAME:PATH, and the other a path here, or -")
	}
	if src.path == "" || dst.path == "" {
		return src, dst, a.usage(cmd, "a path is empty")
	}
	a.copying = src
	if dst.name != "" {
		a.copying = dst
	}
	a.copying.args = quote(args[0]) + " " + quote(args[1])
	return src, dst, nil
}

// parsePlace reads one of them. Only a name can stand before the colon.
func parsePlace(text string) place {
	name, path, found := strings.Cut(text, ":")
	if !found || name == "" || strings.ContainsAny(name, "/.") {
		return place{path: text}
	}
	return place{name: name, path: path}
}

// lookHere is a tree.Look.
func lookHere(path string) (real string, dir bool, err error) {
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", false, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", false, err
	}
	return real, info.IsDir(), nil
}

// here reads a path of this machine.
func here(text string) (tree.Path, error) {
	dir, err := os.Getwd()
	return tree.Parse(text, dir), err
}

// about says what failed; the subject of a refusal is the instance, or a path here.
func about(err error, what, subject string) error {
	var known *client.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	f := *fault.As(err)
	if f.What == "" {
		f.What = what
	}
	if f.Kind == fault.File && !filepath.IsAbs(f.Subject) {
		f.Subject = subject
	}
	return &f
}

// terminal reports whether a file of the command's own is one.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// offerPlaces completes names with their colon, and files.
func (a *app) offerPlaces(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := a.offer(instanceNames)(cmd, nil, word)
	for i := range names {
		names[i] += ":"
	}
	return names, cobra.ShellCompDirectiveNoSpace
}
