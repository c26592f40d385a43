package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// CopyIn says where a tar stream goes in an instance.
//
// With a Top, the stream holds one entry of that name and, when Directory says that
// it is a directory, what is in it. The entry goes into Path where that is a
// directory, else it becomes Path. The Top "." is the contents of a directory: they
// go into Path, which is made if it is missing. Without a Top any entries go into
// Path, which must be a directory.
type CopyIn struct {
	Path       string // any bytes but NUL; from "/" if it is relative
	Top        string
	Directory  bool
	KeepOwners bool // as the stream names them; else all is the instance's main user's
}

// CopyOut says what to get from an instance. A path that ends in "/." is the
// contents of a directory; one that ends in "/" a directory, or a link to one.
type CopyOut struct {
	Path       string // any bytes but NUL; from "/" if it is relative
	FollowLink bool   // a symbolic link at its end
}

// CopyIn puts the files of a tar stream into a RUNNING instance, or a PAUSED one,
// which it resumes. It returns when all are there. A read of r may go on after a
// refusal: its bytes are lost, and the goroutine ends with it. When r fails,
// what had come whole stays, and its error is returned.
func (c *Client) CopyIn(ctx context.Context, ref string, in CopyIn, r io.Reader) error {
	what := fmt.Sprintf("copy files into instance %q", ref)
	conn, _, err := c.upgrade(ctx, what, at(instances, ref, "copy-in")+"?"+in.query(), nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	failed := make(chan error, 1)
	go func() {
		if err := sendTar(conn, r); err != nil {
			failed <- err
			conn.Close()
		}
	}()
	frames := wire.NewTarReader(conn)
	_, err = io.Copy(io.Discard, frames)
	select {
	case own := <-failed:
		return own
	default:
	}
	return c.copied(ctx, ref, what, err, frames)
}

func (in CopyIn) query() string {
	return url.Values{"path": {in.Path}, "top": {in.Top}, "directory": {strconv.FormatBool(in.Directory)},
		"keep_owners": {strconv.FormatBool(in.KeepOwners)}}.Encode()
}

// sendTar writes the frames of a tar stream. Its error is r's; that of the
// connection is for the one who reads it.
func sendTar(conn io.Writer, r io.Reader) error {
	to := wire.NewTarWriter(conn)
	from := &failing{r: r}
	if _, err := io.Copy(to, from); err != nil {
		return from.err
	}
	if to.Flush() == nil {
		wire.WriteFrame(conn, wire.FrameEnd, nil)
	}
	return nil
}

// failing remembers an error of its reader.
type failing struct {
	r   io.Reader
	err error
}

// Read notes the error.
func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != io.EOF {
		f.err = err
	}
	return n, err
}

// copied is the meaning of a copy's end: err, or what the guest's last frame said.
func (c *Client) copied(ctx context.Context, ref, what string, err error, frames *wire.TarReader) error {
	if err == nil && frames.End() != wire.FrameCopied {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		if e := ended(ctx, what, err); e != nil {
			return e
		}
		return problem(fault.Unreachable, "", what, "the daemon or the VM went away before the copy had ended", err)
	}
	if last := frames.Copied(); last.Error != nil {
		return problem(last.Error.Kind, ref, what, last.Error.Why, nil)
	}
	return nil
}

// CopyStream is a tar stream from an instance. It ends with io.EOF only when it is
// whole, else with an *Error.
type CopyStream struct {
	frames  *wire.TarReader
	close   func() error
	explain func(error) error
}

// Read gives some of the stream.
func (s *CopyStream) Read(p []byte) (int, error) {
	n, err := s.frames.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if e := s.explain(nil); e != nil {
			return n, e
		}
		return n, io.EOF
	}
	return n, s.explain(err)
}

// Left is how many devices, pipes and sockets were left out, once Read has given
// io.EOF.
func (s *CopyStream) Left() int { return s.frames.Copied().Left }

// Close ends the copy.
func (s *CopyStream) Close() error { return s.close() }

// CopyOut gets files of a RUNNING instance, or of a PAUSED one, which it resumes, as
// a tar stream. The guest is not trusted: whoever unpacks it must bound where its
// names and links lead. The caller closes it; the end of ctx ends it.
func (c *Client) CopyOut(ctx context.Context, ref string, out CopyOut) (*CopyStream, error) {
	what := fmt.Sprintf("copy files out of instance %q", ref)
	values := url.Values{"path": {out.Path}, "follow_link": {strconv.FormatBool(out.FollowLink)}}
	conn, _, err := c.upgrade(ctx, what, at(instances, ref, "copy-out")+"?"+values.Encode(), nil)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	frames := wire.NewTarReader(conn)
	return &CopyStream{frames: frames,
		close:   func() error { stop(); return conn.Close() },
		explain: func(err error) error { return c.copied(ctx, ref, what, err, frames) }}, nil
}

// upgrade asks for a connection of frames, and gives the answer's header too.
func (c *Client) upgrade(ctx context.Context, what, path string, in any) (io.ReadWriteCloser, http.Header, error) {
	body, header, err := encode(what, in)
	if err != nil {
		return nil, nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", Upgrade)
	resp, err := c.request(ctx, what, http.MethodPost, path, body, header)
	if err != nil {
		return nil, nil, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, nil, problem(fault.Internal, "", what, "the daemon answered "+resp.Status+" instead of a connection", nil)
	}
	return conn, resp.Header, nil
}
