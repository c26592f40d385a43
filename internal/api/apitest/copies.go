package apitest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/tree"
	"aegis/internal/wire"
)

// look is a tree.Look of the fake guest's root.
func (f *Fake) look(path string) (real string, dir bool, err error) {
	if real, err = filepath.EvalSymlinks(filepath.Join(f.Root, path)); err != nil {
		return "", false, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", false, err
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(real, f.Root), "/"), info.IsDir(), nil
}

// begun checks what every copy needs.
func (f *Fake) begun(call, ref, rest string) error {
	if err := f.enter(call, ref+" "+rest); err != nil {
		return err
	}
	defer f.mu.Unlock()
	i, err := f.find(ref)
	if err != nil {
		return err
	}
	if i.State == "STOPPED" {
		return refused("copy files of", ref, fault.New(fault.WrongState, "", "", "it is STOPPED"))
	}
	return nil
}

// refused is an error as the engine gives it.
func refused(what, ref string, err error) error {
	f := fault.As(err)
	return &fault.Error{Kind: f.Kind, Subject: ref, What: fmt.Sprintf("%s instance %q", what, ref), Why: f.Why}
}

func (p *processes) CopyIn(_ context.Context, ref string, in client.CopyIn) (net.Conn, error) {
	f := (*Fake)(p)
	if err := f.begun("CopyIn", ref, fmt.Sprintf("%q top=%q dir=%v keep=%v", in.Path, in.Top, in.Directory, in.KeepOwners)); err != nil {
		return nil, err
	}
	dir, as, err := tree.Place(tree.Parse(in.Path, "/"), in.Top, in.Directory, f.look)
	if err != nil {
		return nil, refused("copy files into", ref, err)
	}
	target := func(bool) (*os.Root, string, error) {
		root, err := os.OpenRoot(filepath.Join(f.Root, dir))
		return root, as, err
	}
	return f.copying(func(far net.Conn) {
		err := tree.Unpack(wire.NewTarReader(bufio.NewReader(far)), target, tree.Options{Top: in.Top})
		wire.WriteCopied(far, wire.Copied{Error: told(err)})
		io.Copy(io.Discard, far)
	}), nil
}

// copying starts the guest's end of a copy.
func (f *Fake) copying(play func(far net.Conn)) net.Conn {
	if f.Copy != nil {
		play = f.Copy
	}
	near, far := pair()
	go func() {
		defer far.Close()
		play(far)
	}()
	return near
}

// CopyOut gives what the fake's root holds. A file below /raw is itself the stream; one
// below /cut is a stream without an end.
func (p *processes) CopyOut(_ context.Context, ref string, out client.CopyOut) (net.Conn, error) {
	f := (*Fake)(p)
	if err := f.begun("CopyOut", ref, fmt.Sprintf("%q follow=%v", out.Path, out.FollowLink)); err != nil {
		return nil, err
	}
	from := tree.Parse(out.Path, "/")
	dir, name, err := tree.Pick(from, out.FollowLink, f.look)
	if err != nil {
		return nil, refused("copy files out of", ref, err)
	}
	if _, err := os.Lstat(filepath.Join(f.Root, dir, name)); err != nil {
		return nil, refused("copy files out of", ref, fault.New(fault.File, "", "", "%q is not there", from.Clean))
	}
	return f.copying(func(far net.Conn) { f.send(far, dir, name, from.Top()) }), nil
}

func (f *Fake) send(far net.Conn, dir, name, top string) {
	to := wire.NewTarWriter(far)
	if dir == "/raw" || dir == "/cut" {
		data, _ := os.ReadFile(filepath.Join(f.Root, dir, name))
		to.Write(data)
		to.Flush()
		if dir == "/raw" {
			wire.WriteCopied(far, wire.Copied{})
		}
		return
	}
	root, err := os.OpenRoot(filepath.Join(f.Root, dir))
	if err != nil {
		panic(err)
	}
	defer root.Close()
	left, err := tree.Pack(to, root, name, top)
	to.Flush()
	wire.WriteCopied(far, wire.Copied{Error: told(err), Left: left})
}

func told(err error) *wire.Error {
	if err == nil {
		return nil
	}
	f := fault.As(err)
	return &wire.Error{Kind: f.Kind, Why: f.Why}
}
