package api

import (
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aegis/client"
	"aegis/internal/fault"
)

// copies registers the routes of files. A path is any bytes, as a URL can say them.
func (s *server) copies() {
	type copyIn struct {
		Target
		Path      string `query:"path" required:"true" minLength:"1" maxLength:"4096" doc:"where to; from / if it is relative"`
		Top       string `query:"top" maxLength:"4096" doc:"name at the top of the stream; . for the contents of a directory; empty: any entries, into the directory path"`
		Directory bool   `query:"directory" doc:"the top is a directory"`
		Keep      bool   `query:"keep_owners" doc:"as the stream names them; else the instance's main user owns it all"`
	}
	raw(s, copyOperation("copy-in", "Put the files of a tar stream into it"),
		func(w http.ResponseWriter, r *http.Request, in *copyIn) error {
			if err := noNUL(in.Path, in.Top); err != nil {
				return err
			}
			return s.connect(w, r, func() (net.Conn, error) {
				return s.Processes.CopyIn(r.Context(), in.Ref, client.CopyIn{Path: in.Path, Top: in.Top, Directory: in.Directory, KeepOwners: in.Keep})
			})
		})

	type copyOut struct {
		Target
		Path   string `query:"path" required:"true" minLength:"1" maxLength:"4096" doc:"a file or directory; with /. at its end what is in it"`
		Follow bool   `query:"follow_link" doc:"a symbolic link at its end"`
	}
	raw(s, copyOperation("copy-out", "Get files as a tar stream"),
		func(w http.ResponseWriter, r *http.Request, in *copyOut) error {
			if err := noNUL(in.Path); err != nil {
				return err
			}
			return s.connect(w, r, func() (net.Conn, error) {
				return s.Processes.CopyOut(r.Context(), in.Ref, client.CopyOut{Path: in.Path, FollowLink: in.Follow})
			})
		})
}

func copyOperation(verb, summary string) huma.Operation {
	op := upgrade(verb, "/instances/{ref}/"+verb, summary)
	op.Description = "The request has `Upgrade: " + client.Upgrade + "`. After 101 the connection carries the frames of a tar stream, and at its end one that says how it went."
	return op
}

// noNUL refuses what no path can hold.
func noNUL(paths ...string) error {
	for _, p := range paths {
		if strings.Contains(p, "\x00") {
			return fault.New(fault.Invalid, "", "copy files", "a path holds a NUL byte")
		}
	}
	return nil
}
