//go:build linux

package workspace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openDir(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

var hello = request(opInit, 1, 0, words(7, 31, 1<<20, ^uint32(0)))

// stream is a guest that has said everything already.
type stream struct {
	io.Reader
	bytes.Buffer
}

func (s *stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }

func TestFraming(t *testing.T) {
	root := openDir(t, t.TempDir())
	for what, test := range map[string]struct {
		in   []byte
		want string
	}{
		"clean end":        {hello, ""},
		"end in a header":  {hello[:10], "unexpected EOF"},
		"end in a message": {hello[:50], "unexpected EOF"},
		"too short":        {words(39, 0, 0, 0), "39 bytes announced"},
		"too long":         {words(maxMessage+1, 0), "announced"},
		"giant":            {words(1<<32-1, 0), "announced"},
	} {
		err := Serve(t.Context(), root, &stream{Reader: bytes.NewReader(test.in)}, Options{})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOrderOfInit(t *testing.T) {
	root := openDir(t, t.TempDir())
	host, guest := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), root, host, Options{}) }()
	ask := func(m message, want unix.Errno) {
		t.Helper()
		if _, err := guest.Write(m); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, outHeader)
		if _, err := io.ReadFull(guest, head); err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, guest, int64(binary.NativeEndian.Uint32(head))-outHeader)
		if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(head[4:]))); errno != want {
			t.Errorf("op %d: %v, want %v", m.op(), errno, want)
		}
	}
	ask(request(17, 1, 1), unix.EIO)
	ask(request(opInit, 2, 0, words(8, 0, 0, 0)), unix.EPROTO)
	ask(hello, 0)
	ask(hello, unix.EIO)
	ask(request(17, 3, 1), 0)
	guest.Close()
	if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// Serve ends when its context does, though a lock is waited for and the channel
// is silent.
func TestContextEnds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	host, guest := net.Pipe()
	defer guest.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	root := openDir(t, dir)
	go func() { served <- Serve(ctx, root, host, Options{}) }()
	replies := make([]byte, 4096)
	send := func(m message) []byte {
		guest.Write(m)
		n, _ := guest.Read(replies)
		return replies[outHeader:n]
	}
	send(hello)
	id := entryOf(send(request(opLookup, 2, 1, z("f")))).NodeId
	fh := binary.NativeEndian.Uint64(send(request(14, 3, id, words(0, 0))))
	lock := append(append(quads(fh, 9, 0, 0), words(unix.F_WRLCK, 0)...), words(1, 0)...)
	guest.Write(request(opSetlkw, 4, id, lock))
	send(request(17, 5, 1)) // the waiting one holds nobody back
	go io.Copy(io.Discard, guest)
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A process that has left /proc behind brings the directory with it.
func TestGivenProc(t *testing.T) {
	fds, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	proc := os.NewFile(uintptr(fds), "fds")
	defer proc.Close()
	c := newClient(t, Options{Proc: proc})
	c.file(c.path("f"), "text")
	f := c.lookup(1, "f")
	if b := c.ok(c.call(opRead, f, rw(c.open(f, 0), 0, 9))); string(b) != "text" {
		t.Errorf("read %q", b)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c = newClient(t, Options{Proc: null}) // it is the given one that is used
	c.file(c.path("f"), "text")
	c.want(unix.ENOTDIR, "open by another file")(c.call(14, c.lookup(1, "f"), words(0, 0)))
}

// A panic is answered with EIO and the server lives on.
func TestPanicIsAnswered(t *testing.T) {
	c := newClient(t, Options{})
	handles := c.s.handles
	c.s.handles = nil
	m := request(opRead, 7, 1, rw(1, 0, 1))
	reply := c.h.handle(m, make([]byte, replyRoom+1))
	c.s.handles = handles
	if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(reply[4:]))); errno != unix.EIO || c.h.panics.Load() != 1 {
		t.Errorf("%v, %d panics", errno, c.h.panics.Load())
	}
	c.h.panics.Store(0)
	c.ok(c.call(17, 1))
}

// FuzzServe runs arbitrary bytes as a guest's stream, beside files it must never
// see or change.
func FuzzServe(f *testing.F) {
	join := func(m ...message) (b []byte) {
		for _, x := range m {
			b = append(b, x...)
		}
		return b
	}
	const first = firstID + 1
	f.Add(join(request(opLookup, 2, 1, z("f")), request(14, 3, first, words(2, 0)), request(opRead, 4, first, rw(first, 0, 64)),
		request(16, 5, first, rw(first, 0, 1), []byte("x")), request(18, 6, first, rw(first, 0, 0)[:24])))
	f.Add(join(request(opLookup, 2, 1, z("l")), request(5, 3, first), request(opLookup, 4, first, z("canary"))))
	f.Add(join(request(27, 2, 1, words(0, 0)), request(opReaddirplus, 3, 1, rw(first, 0, 4096))))
	f.Add(join(request(9, 2, 1, words(0o755, 0), z("d")), request(45, 3, 1, quads(first, 0), z("f"), z("g")),
		request(6, 4, 1, z("s"), z("../out")), request(13, 5, 1, quads(first), z("h"))))
	f.Add(join(request(35, 2, 1, words(2, 0o644, 0, 0), z("n")), request(opSetlkw, 3, first, make([]byte, 48)),
		request(21, 4, first, words(1, 0), z("user.k"), []byte("v")), request(4, 5, first, setattr(0xffff, 0o7777, 1))))
	f.Add(join(request(opBatchForget, 2, 0, words(1, 0), quads(1, 1)), request(36, 3, 0, quads(2)), request(47, 4, 1, make([]byte, 56))))
	var said bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		said.Reset()
		c := newClient(t, Options{})
		c.file(c.path("f"), "text")
		if err := os.Symlink("../out", c.path("l")); err != nil {
			t.Fatal(err)
		}
		s := &stream{Reader: io.MultiReader(bytes.NewReader(hello), bytes.NewReader(in))}
		Serve(t.Context(), openDir(t, c.root), s, Options{MaxNodes: 1000, MaxHandles: 100})
		if bytes.Contains(s.Bytes(), []byte(canary)) {
			t.Error("the canary was read")
		}
		if said.Len() > 0 {
			t.Error(said.String())
		}
		c.untouched()
	})
}
