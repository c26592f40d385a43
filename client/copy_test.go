package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"aegis/client"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
	"aegis/internal/tree"
	"aegis/internal/wire"
)

// packed is a directory with one file of this text.
func packed(t *testing.T, text string) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	root := must[*os.Root](t)(os.OpenRoot(dir))
	t.Cleanup(func() { root.Close() })
	return root, "file"
}

// archive is the tar stream of such a directory.
func archive(t *testing.T, text string) []byte {
	t.Helper()
	root, name := packed(t, text)
	var b bytes.Buffer
	if _, err := tree.Pack(&b, root, name, name); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCopyThereAndBack(t *testing.T) {
	f := &apitest.Fake{Root: t.TempDir()}
	c := running(t, f)
	sent := archive(t, "hello")
	if err := c.CopyIn(t.Context(), "web", client.CopyIn{Path: "/", Top: "file", KeepOwners: true}, bytes.NewReader(sent)); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(f.Root, "file")); string(text) != "hello" {
		t.Fatalf("%q %v", text, err)
	}
	stream := must[*client.CopyStream](t)(c.CopyOut(t.Context(), "web", client.CopyOut{Path: "file", FollowLink: true}))
	defer stream.Close()
	if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, sent) || stream.Left() != 0 {
		t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
	}
	want := []string{`CopyIn web "/" top="file" dir=false keep=true`, `CopyOut web "file" follow=true`}
	if calls := f.Calls()[2:]; calls[0] != want[0] || calls[1] != want[1] {
		t.Errorf("%q", calls)
	}
}

// TestCopyPathsAreBytes sends a path that URLs, JSON and UTF-8 can't hold.
func TestCopyPathsAreBytes(t *testing.T) {
	f := &apitest.Fake{Root: t.TempDir()}
	c := running(t, f)
	_, err := c.CopyOut(t.Context(), "web", client.CopyOut{Path: "\xff?&=%2f\n+"})
	wantFault(t, err, fault.File, "is not there")
	if call, want := f.Calls()[2], `CopyOut web "\xff?&=%2f\n+" follow=false`; call != want {
		t.Errorf("%s, want %s", call, want)
	}
}

// copyIn copies a stream to a guest's end that play plays.
func copyIn(t *testing.T, ctx context.Context, r io.Reader, play func(net.Conn)) error {
	t.Helper()
	c := running(t, &apitest.Fake{Root: t.TempDir(), Copy: play})
	return c.CopyIn(ctx, "web", client.CopyIn{Path: "/", Top: "file"}, r)
}

// TestCopyInReaderFails returns the reader's own error, and the guest sees no end.
func TestCopyInReaderFails(t *testing.T) {
	guest := make(chan error, 1)
	broken := errors.New("the disk broke")
	err := copyIn(t, t.Context(), io.MultiReader(bytes.NewReader(archive(t, "hello")), &failingReader{broken}), func(conn net.Conn) {
		_, err := io.Copy(io.Discard, wire.NewTarReader(conn))
		guest <- err
	})
	if err != broken {
		t.Errorf("%v", err)
	}
	if err := <-guest; err == nil {
		t.Error("the guest saw a whole stream")
	}
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestCopyInDoesNotWaitForItsReader has a guest that refuses a stream which never comes.
func TestCopyInDoesNotWaitForItsReader(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	err := copyIn(t, t.Context(), r, func(conn net.Conn) {
		wire.WriteCopied(conn, wire.Copied{Error: &wire.Error{Kind: fault.File, Why: `"/x" is not there`}})
		io.Copy(io.Discard, conn)
	})
	wantFault(t, err, fault.File, `copy files into instance "web": "/x" is not there`)
	var e *client.Error
	if !errors.As(err, &e) || e.Subject != "web" {
		t.Errorf("subject of %+v", e)
	}
}

func TestCopyInIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	gone := make(chan struct{})
	err := copyIn(t, ctx, r, func(conn net.Conn) {
		cancel()
		io.Copy(io.Discard, conn)
		close(gone)
	})
	wantFault(t, err, fault.Cancelled, "it was cancelled")
	<-gone // the guest's end too
}

// TestHostileCopies are ends of a copy that are none.
func TestHostileCopies(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"nothing":      {},
		"unknown type": {99, 0, 0, 0, 0},
		"huge length":  {byte(wire.FrameCopied), 0xff, 0xff, 0xff, 0xff},
		"no JSON":      {byte(wire.FrameCopied), 0, 0, 0, 2, '[', ']'},
		"cut":          {byte(wire.FrameCopied), 0, 0, 0, 9, '{'},
		"own end":      {byte(wire.FrameEnd), 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			end := func(conn net.Conn) { conn.Write(bytes) }
			const why = "went away before the copy had ended"
			wantFault(t, copyIn(t, t.Context(), emptyReader{}, end), fault.Unreachable, why)
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "x"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			c := running(t, &apitest.Fake{Root: root, Copy: end})
			stream := must[*client.CopyStream](t)(c.CopyOut(t.Context(), "web", client.CopyOut{Path: "/x"}))
			defer stream.Close()
			got, err := io.ReadAll(stream)
			wantFault(t, err, fault.Unreachable, why)
			if len(got) > 0 {
				t.Errorf("%q came", got)
			}
		})
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// TestCopyOutEndsWithReason has a guest that fails in the middle.
func TestCopyOutEndsWithReason(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &apitest.Fake{Root: root, Copy: func(conn net.Conn) {
		to := wire.NewTarWriter(conn)
		io.WriteString(to, "some of it")
		to.Flush()
		wire.WriteCopied(conn, wire.Copied{Error: &wire.Error{Kind: fault.NoSpace, Why: "it is full"}, Left: 3})
	}}
	c := running(t, f)
	stream := must[*client.CopyStream](t)(c.CopyOut(t.Context(), "web", client.CopyOut{Path: "/x"}))
	defer stream.Close()
	got, err := io.ReadAll(stream)
	wantFault(t, err, fault.NoSpace, `copy files out of instance "web": it is full`)
	if string(got) != "some of it" || stream.Left() != 3 {
		t.Errorf("%q, left %d", got, stream.Left())
	}
}

// TestCopyOutEnds holds that Close and the context's end reach the guest.
func TestCopyOutEnds(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cancelled := range []bool{false, true} {
		gone := make(chan struct{})
		c := running(t, &apitest.Fake{Root: root, Copy: func(conn net.Conn) {
			io.Copy(io.Discard, conn)
			close(gone)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream := must[*client.CopyStream](t)(c.CopyOut(ctx, "web", client.CopyOut{Path: "/x"}))
		defer stream.Close()
		if cancelled {
			cancel()
			_, err := stream.Read(make([]byte, 1))
			wantFault(t, err, fault.Cancelled, "it was cancelled")
		} else {
			stream.Close()
		}
		<-gone
	}
}
