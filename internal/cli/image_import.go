package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/tree"
)

func (a *app) imageImport() *cobra.Command {
	in, asJSON, quiet := client.ImportImage{}, false, false
	cmd := &cobra.Command{Use: "import FILE|DIR|-", Short: "Make an image of an archive or a directory",
		Long: "Make an image of an archive: what `docker save` writes, an OCI archive or layout, or the files of a root\n" +
			"as a tar stream, as they are or compressed by gzip, zstd, xz or bzip2; - is standard input. A directory is an\n" +
			"OCI layout, or the root itself: what is yours in it becomes root's.",
		Args: a.one("FILE, DIR or -"),
		RunE: a.do(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("import %q", args[0])
			from, err := a.archive(cmd, args[0])
			if err != nil {
				return about(err, what, args[0])
			}
			defer from.Close()
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			i, err := a.importImage(ctx, c, in, from, args[0])
			if err != nil {
				return about(err, what, args[0])
			}
			return a.printTaken(i, asJSON, quiet)
		})}
	cmd.Flags().StringVar(&in.Name, "name", "", "`NAME` for it, like app:1; default: as the archive has it")
	platformFlag(cmd, &in.Platform)
	jsonFlag(cmd, &asJSON)
	digestFlag(cmd, &quiet)
	return cmd
}

// importImage sends the archive, and shows how far that and what follows are.
func (a *app) importImage(ctx context.Context, c *client.Client, in client.ImportImage, from io.Reader, source string) (client.Image, error) {
	m := a.meter(from, source)
	sent := sync.OnceFunc(m.stop)
	defer sent()
	var tell func(client.Progress)
	end := func() {}
	defer func() { end() }()
	return c.ImportImage(ctx, in, m, func(p client.Progress) {
		sent()
		if tell == nil {
			tell, end = a.takes()
		}
		tell(p)
	})
}

// archive opens what is imported as one stream.
func (a *app) archive(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		if terminal(a.in) {
			return nil, a.usage(cmd, "standard input is a terminal and no archive")
		}
		return io.NopCloser(a.in), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.File, path, "", "%w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.IsDir() {
		return f, err
	}
	f.Close()
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fault.New(fault.File, path, "", "%w", err)
	}
	r, w := io.Pipe()
	go func() {
		defer root.Close()
		packed, pack := io.Pipe()
		go func() {
			_, err := tree.Pack(pack, root, ".", ".")
			pack.CloseWithError(err)
		}()
		w.CloseWithError(rootOwned(w, packed, os.Geteuid(), os.Getegid()))
	}()
	return r, nil
}

// rootOwned copies a tar stream in which what is a user's, or a group's, is root's.
func rootOwned(w io.Writer, r *io.PipeReader, uid, gid int) error {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err == nil {
			if h.Uid == uid {
				h.Uid = 0
			}
			if h.Gid == gid {
				h.Gid = 0
			}
			h.PAXRecords = nil
			err = out.WriteHeader(h)
		}
		if err == nil {
			_, err = io.Copy(out, in)
		}
		if err != nil {
			r.CloseWithError(err) // lets the packing end
			return err
		}
	}
}
