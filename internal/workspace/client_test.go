//go:build linux

package workspace

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// client is a guest that says whatever it likes: no kernel is between.
type client struct {
	t    testing.TB
	s    *server
	h    *handler
	root string // the workspace
	out  string // what must never be reached
	last uint64
}

const canary = "canary-0b1f6c"

func newClient(t testing.TB, opts Options) *client {
	t.Helper()
	base := t.TempDir()
	c := &client{t: t, root: filepath.Join(base, "root"), out: filepath.Join(base, "out")}
	for _, d := range []string{c.root, c.out, c.out + "/sub"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.file(c.out+"/canary", canary)
	c.file(c.out+"/sub/canary", canary)
	dir, err := os.Open(c.root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c.s, err = newServer(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.s.close)
	old := unix.Umask(0)
	t.Cleanup(func() { unix.Umask(old) })
	c.h = newHandler(c.s)
	c.ok(c.call(opInit, 0, words(7, 31, 1<<20, ^uint32(0))))
	return c
}

func (c *client) file(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) path(name string) string { return filepath.Join(c.root, name) }

// words and quads are the fields of a body; z ends a name.
func words(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

func quads(q ...uint64) []byte {
	var b []byte
	for _, v := range q {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

func z(s string) []byte { return append([]byte(s), 0) }

func request(op opcode, unique, node uint64, body ...[]byte) message {
	b := bytes.Join(body, nil)
	m := words(uint32(inHeader+len(b)), uint32(op))
	m = append(m, quads(unique, node)...)
	m = append(m, words(0, 0, 1, 0)...)
	return append(m, b...)
}

// call sends one request and returns what the reply carries.
func (c *client) call(op opcode, node uint64, body ...[]byte) ([]byte, unix.Errno) {
	c.t.Helper()
	c.last++
	m := request(op, c.last, node, body...)
	room, errno := m.room()
	if errno != 0 {
		return nil, errno
	}
	reply := c.h.handle(m, make([]byte, room))
	if !m.answered() {
		if len(reply) != 0 {
			c.t.Fatalf("op %d was answered", op)
		}
		return nil, 0
	}
	if len(reply) < outHeader || int(binary.NativeEndian.Uint32(reply)) != len(reply) ||
		binary.NativeEndian.Uint64(reply[8:]) != c.last {
		c.t.Fatalf("op %d: malformed reply % x", op, reply)
	}
	if n := c.h.panics.Load(); n != 0 {
		c.t.Fatalf("op %d panicked", op)
	}
	return reply[outHeader:], unix.Errno(-int32(binary.NativeEndian.Uint32(reply[4:])))
}

func (c *client) ok(b []byte, errno unix.Errno) []byte {
	c.t.Helper()
	if errno != 0 {
		c.t.Fatalf("refused: %v", errno)
	}
	return b
}

func (c *client) want(want unix.Errno, what string) func([]byte, unix.Errno) {
	return func(_ []byte, errno unix.Errno) {
		c.t.Helper()
		if errno != want {
			c.t.Errorf("%s: %v (%d), want %v", what, errno, errno, want)
		}
	}
}

func entryOf(b []byte) fuse.EntryOut {
	var e fuse.EntryOut
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e)), b)
	return e
}

func (c *client) lookup(node uint64, name string) uint64 {
	c.t.Helper()
	return entryOf(c.ok(c.call(opLookup, node, z(name)))).NodeId
}

func (c *client) open(node uint64, flags uint32) uint64 {
	c.t.Helper()
	return binary.NativeEndian.Uint64(c.ok(c.call(14, node, words(flags, 0))))
}

// setattr is the body of a SETATTR.
func setattr(valid, mode uint32, size uint64) []byte {
	b := make([]byte, 88)
	binary.NativeEndian.PutUint32(b, valid)
	binary.NativeEndian.PutUint64(b[16:], size)
	binary.NativeEndian.PutUint32(b[68:], mode)
	return b
}

func rw(fh, offset uint64, size uint32) []byte {
	return append(append(quads(fh, offset), words(size, 0)...), make([]byte, 16)...)
}

// untouched fails when anything outside the workspace has changed.
func (c *client) untouched() {
	c.t.Helper()
	for _, d := range []string{"", "/sub"} {
		list, err := os.ReadDir(c.out + d)
		if want := map[string]int{"": 2, "/sub": 1}[d]; err != nil || len(list) != want {
			c.t.Errorf("outside%s: %v %v", d, list, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(c.out+d+"/canary", &st); err != nil || st.Mode&07777 != 0o644 || st.Nlink != 1 {
			c.t.Errorf("canary: mode %o nlink %d %v", st.Mode, st.Nlink, err)
		}
		if b, err := os.ReadFile(c.out + d + "/canary"); string(b) != canary {
			c.t.Errorf("canary: %q %v", b, err)
		}
	}
}
