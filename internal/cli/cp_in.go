package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/tree"
	"aegis/internal/undo"
)

// copyIn copies a path here, or the stream on standard input, into an instance.
func (a *app) copyIn(ctx context.Context, cmd *cobra.Command, src string, dst place, flags copyFlags) error {
	in := client.CopyIn{Path: dst.path, KeepOwners: flags.archive}
	if flags.unsafe {
		return a.usage(cmd, "--unsafe-links is for what is copied out")
	}
	if src == "-" {
		if terminal(a.in) {
			return a.usage(cmd, "standard input is a terminal and no tar stream")
		}
		return a.sendFiles(ctx, dst.name, in, a.in, "")
	}
	what := fmt.Sprintf("copy %q into instance %q", src, dst.name)
	packed, err := a.openSource(src, flags.follow)
	if err != nil {
		return about(err, what, src)
	}
	defer packed.root.Close()
	in.Top, in.Directory = packed.top, packed.dir
	r, w := io.Pipe()
	done := make(chan struct{})
	left := 0
	go func() {
		defer close(done)
		var err error
		left, err = tree.Pack(w, packed.root, packed.name, packed.top)
		w.CloseWithError(err)
	}()
	err = about(a.sendFiles(ctx, dst.name, in, r, src), what, src)
	r.Close()
	<-done
	if err == nil {
		a.noteLeft(left)
	}
	return err
}

func (a *app) sendFiles(ctx context.Context, name string, in client.CopyIn, r io.Reader, source string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	m := a.meter(r, source)
	defer m.stop()
	return c.CopyIn(ctx, name, in, m)
}

// source is what is copied from here.
type source struct {
	root *os.Root
	name string
	top  string
	dir  bool
}

// openSource finds it.
func (a *app) openSource(src string, follow bool) (s source, err error) {
	from, err := here(src)
	if err != nil {
		return s, err
	}
	dir, name, err := tree.Pick(from, follow, lookHere)
	if err != nil {
		return s, err
	}
	s = source{name: name, top: from.Top()}
	var u undo.Stack
	defer u.Run()
	if s.root, err = os.OpenRoot(dir); err != nil {
		return s, fault.New(fault.File, dir, "", "%q: %w", dir, bare(err))
	}
	u.Add(func() { s.root.Close() })
	info, err := s.root.Lstat(name)
	if err != nil {
		return s, fault.New(fault.File, from.Clean, "", "%q: %w", from.Clean, bare(err))
	}
	switch s.dir = info.IsDir(); info.Mode().Type() {
	case 0, fs.ModeDir, fs.ModeSymlink:
		u.Keep()
		return s, nil
	}
	return s, fault.New(fault.File, from.Clean, "", "%q is a device, a pipe or a socket", from.Clean)
}

// noteLeft says what was not copied.
func (a *app) noteLeft(n int) {
	if n > 0 {
		a.note("devices, pipes and sockets that were left out: %d", n)
	}
}
