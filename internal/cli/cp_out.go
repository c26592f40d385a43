package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/tree"
)

// copyOut copies files of an instance to a path here, or to standard output as a
// tar stream.
func (a *app) copyOut(ctx context.Context, cmd *cobra.Command, src place, dst string, flags copyFlags) error {
	switch {
	case flags.archive:
		return a.usage(cmd, "--archive is for what is copied in")
	case dst == "-" && terminal(a.out):
		return a.usage(cmd, "standard output is a terminal, which can't take a tar stream")
	}
	to, err := here(dst)
	if err != nil {
		return err
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	stream, err := c.CopyOut(ctx, src.name, client.CopyOut{Path: src.path, FollowLink: flags.follow})
	if err != nil {
		return err
	}
	defer stream.Close()
	m := a.meter(stream, "")
	if dst == "-" {
		_, err = io.Copy(a.out, m)
	} else {
		err = unpackHere(m, to, tree.Options{Top: tree.Parse(src.path, "/").Top(), Foreign: true, Outside: flags.unsafe})
		err = about(err, fmt.Sprintf("copy %q out of instance %q", src.path, src.name), dst)
	}
	m.stop()
	if err == nil {
		a.noteLeft(stream.Left())
	}
	return err
}

// unpackHere makes the files of a guest's stream.
func unpackHere(r io.Reader, to tree.Path, opt tree.Options) error {
	return tree.Unpack(r, func(dir bool) (*os.Root, string, error) {
		into, as, err := tree.Place(to, opt.Top, dir, lookHere)
		if err != nil {
			return nil, "", err
		}
		root, err := os.OpenRoot(into)
		return root, as, err
	}, opt)
}
