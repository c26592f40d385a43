//go:build linux

package workspace

import (
	"math"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestForgedNumbers(t *testing.T) {
	c := newClient(t, Options{})
	c.file(c.path("f"), "text")
	c.file(c.path("g"), "other")
	f, g := c.lookup(1, "f"), c.lookup(1, "g")
	fh := c.open(f, unix.O_RDONLY)
	for _, fake := range []uint64{0, 3, f + 1000, math.MaxUint64 - 1} {
		c.want(unix.ESTALE, "node")(c.call(3, fake, make([]byte, 16)))
		c.want(unix.ESTALE, "open")(c.call(14, fake, words(0, 0)))
		c.want(unix.EBADF, "handle")(c.call(opRead, f, rw(fake, 0, 4)))
	}
	c.want(unix.ENOSYS, "the library's own node")(c.call(3, math.MaxUint64, make([]byte, 16)))
	c.want(unix.EBADF, "another file's handle")(c.call(opRead, g, rw(fh, 0, 4)))
	c.want(unix.EBADF, "write to a reader")(c.call(16, f, rw(fh, 0, 1), []byte("x")))
	c.want(unix.ENOTDIR, "list a file")(c.call(opReaddir, f, rw(fh, 0, 4096)))
	dh := c.ok(c.call(27, 1, words(0, 0)))
	c.want(unix.EISDIR, "read a directory")(c.call(opRead, 1, append(dh[:8:8], rw(0, 0, 4)[8:]...)))

	c.call(opForget, f, quads(1<<40))
	c.call(opForget, f, quads(1))
	c.call(opForget, 1, quads(math.MaxUint64))
	c.call(opForget, 0, quads(1))
	c.want(unix.ESTALE, "forgotten")(c.call(3, f, make([]byte, 16)))
	if b := c.ok(c.call(opRead, f, rw(fh, 0, 10))); string(b) != "text" {
		t.Errorf("open file of a forgotten node: %q", b)
	}
	for range 2 {
		c.ok(c.call(18, f, append(quads(fh), make([]byte, 16)...)))
	}
	c.want(unix.EBADF, "released")(c.call(opRead, f, rw(fh, 0, 4)))
	c.lookup(1, "f")
}

func TestForgedSizes(t *testing.T) {
	c := newClient(t, Options{})
	c.file(c.path("f"), "text")
	f := c.lookup(1, "f")
	fh := c.open(f, unix.O_RDWR)
	for _, op := range []opcode{opRead, opReaddir, opReaddirplus} {
		c.want(unix.EINVAL, "giant size")(c.call(op, f, rw(fh, 0, math.MaxUint32)))
	}
	c.want(unix.EINVAL, "giant xattr")(c.call(opGetxattr, f, words(1<<31, 0), z("user.k")))
	c.want(unix.EINVAL, "giant list")(c.call(opListxattr, f, words(1<<31, 0)))
	c.want(unix.EINVAL, "write more than was sent")(c.call(16, f, rw(fh, 0, 1<<20), []byte("x")))
	c.want(unix.EINVAL, "xattr longer than was sent")(c.call(21, f, words(1<<16, 0), z("user.k"), []byte("v")))
	c.want(unix.EINVAL, "size beyond int64")(c.call(4, f, setattr(8, 0, 1<<63)))
	c.want(unix.EINVAL, "offset beyond int64")(c.call(opRead, f, rw(fh, 1<<63, 4)))
	c.call(opBatchForget, 0, words(math.MaxUint32, 0), quads(f, 0))
	c.ok(c.call(3, f, make([]byte, 16)))
	lock := func(start, end uint64, kind uint32) []byte {
		return append(append(quads(fh, 9, start, end), words(kind, 0)...), words(0, 0)...)
	}
	for _, b := range [][]byte{lock(5, 4, 1), lock(0, 1<<63, 1), lock(0, 1, 77)} {
		c.want(unix.EINVAL, "lock")(c.call(32, f, b))
	}
	if b, _ := os.ReadFile(c.path("f")); string(b) != "text" {
		t.Errorf("the file is %q", b)
	}
}

// Every operation, cut at every length and at random node numbers: refused or
// answered, and never a panic (call checks).
func TestShortMessages(t *testing.T) {
	c := newClient(t, Options{})
	for op := range opcode(200) {
		if op == 38 || op == opSetlkw {
			continue
		}
		least, served := known[op]
		for n := range 130 {
			_, errno := c.call(op, uint64(n%3), make([]byte, n))
			switch {
			case !served && errno != unix.ENOSYS:
				t.Fatalf("op %d: %v", op, errno)
			case served && n < least && errno != unix.EINVAL:
				t.Fatalf("op %d with %d bytes: %v", op, n, errno)
			}
		}
	}
	c.untouched()
}

func TestReadOnlyRefusesEveryChange(t *testing.T) {
	c := newClient(t, Options{ReadOnly: true})
	c.file(c.path("f"), "text")
	f := c.lookup(1, "f")
	fh := c.open(f, unix.O_RDONLY)
	for what, got := range map[string]func() ([]byte, unix.Errno){
		"write":        func() ([]byte, unix.Errno) { return c.call(16, f, rw(fh, 0, 1), []byte("x")) },
		"fallocate":    func() ([]byte, unix.Errno) { return c.call(43, f, quads(fh, 0, 1, 0)) },
		"copy":         func() ([]byte, unix.Errno) { return c.call(47, f, quads(fh, 0, f, fh, 0, 4, 0)) },
		"truncate":     func() ([]byte, unix.Errno) { return c.call(4, f, setattr(8, 0, 0)) },
		"chmod":        func() ([]byte, unix.Errno) { return c.call(4, f, setattr(1, 0o600, 0)) },
		"open write":   func() ([]byte, unix.Errno) { return c.call(14, f, words(unix.O_WRONLY, 0)) },
		"open trunc":   func() ([]byte, unix.Errno) { return c.call(14, f, words(unix.O_RDONLY|unix.O_TRUNC, 0)) },
		"create":       func() ([]byte, unix.Errno) { return c.call(35, 1, words(unix.O_RDWR, 0o644, 0, 0), z("f")) },
		"tmpfile":      func() ([]byte, unix.Errno) { return c.call(51, 1, words(unix.O_RDWR, 0o644, 0, 0), z("/")) },
		"mkdir":        func() ([]byte, unix.Errno) { return c.call(9, 1, words(0o755, 0), z("d")) },
		"mknod":        func() ([]byte, unix.Errno) { return c.call(8, 1, words(unix.S_IFREG, 0, 0, 0), z("d")) },
		"symlink":      func() ([]byte, unix.Errno) { return c.call(6, 1, z("d"), z("t")) },
		"link":         func() ([]byte, unix.Errno) { return c.call(13, 1, quads(f), z("d")) },
		"unlink":       func() ([]byte, unix.Errno) { return c.call(10, 1, z("f")) },
		"rmdir":        func() ([]byte, unix.Errno) { return c.call(11, 1, z("f")) },
		"rename":       func() ([]byte, unix.Errno) { return c.call(12, 1, quads(1), z("f"), z("d")) },
		"rename2":      func() ([]byte, unix.Errno) { return c.call(45, 1, quads(1, 0), z("f"), z("d")) },
		"setxattr":     func() ([]byte, unix.Errno) { return c.call(21, f, words(1, 0), z("user.k"), []byte("v")) },
		"removexattr":  func() ([]byte, unix.Errno) { return c.call(24, f, z("user.k")) },
		"chown":        func() ([]byte, unix.Errno) { return c.call(4, f, setattr(2, 0, 0)) },
		"change times": func() ([]byte, unix.Errno) { return c.call(4, f, setattr(1<<8, 0, 0)) },
	} {
		c.want(unix.EROFS, what)(got())
	}
	if list, _ := os.ReadDir(c.root); len(list) != 1 {
		t.Errorf("now there: %v", list)
	}
}

// Few descriptors serve many nodes; what is closed is found again, and only if
// it is still the same.
func TestDescriptorsAreShared(t *testing.T) {
	c := newClient(t, Options{})
	c.s.nodes.limits.fds = 4
	ids := []uint64{1}
	for i := range 60 { // a deep chain
		b := c.ok(c.call(9, ids[i], words(0o755, 0), z("d")))
		ids = append(ids, entryOf(b).NodeId)
	}
	for _, i := range []int{60, 1, 59, 30, 60} {
		name := "f" + strconv.Itoa(i)
		c.call(8, ids[i], words(unix.S_IFREG|0o644, 0, 0, 0), z(name))
		c.ok(c.call(3, c.lookup(ids[i], name), make([]byte, 16)))
		if c.s.nodes.fds > 4 {
			t.Fatalf("%d descriptors", c.s.nodes.fds)
		}
	}
	if err := os.Rename(c.path("d"), c.path("e")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.path("d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // push out what is open
		c.file(c.path(strconv.Itoa(i)), "")
		c.ok(c.call(3, c.lookup(1, strconv.Itoa(i)), make([]byte, 16)))
	}
	c.want(unix.ESTALE, "another directory of that name")(c.call(3, ids[1], make([]byte, 16)))
	for _, id := range ids[1:] {
		c.call(opForget, id, quads(100))
	}
}

// What the guest renames is found by its new name, and what it removes while it
// is open stays, though descriptors are short.
func TestShortOfDescriptorsAfterRenameAndUnlink(t *testing.T) {
	c := newClient(t, Options{})
	c.s.nodes.limits.fds = 3
	c.file(c.path("a"), "")
	a := c.lookup(1, "a")
	c.ok(c.call(12, 1, quads(1), z("a"), z("b")))
	c.ok(c.call(3, a, make([]byte, 16)))
	c.file(c.path("open"), "")
	open := c.lookup(1, "open")
	c.open(open, unix.O_RDWR)
	c.ok(c.call(10, 1, z("open")))
	for i := range 8 {
		c.file(c.path(strconv.Itoa(i)), "")
		c.ok(c.call(3, c.lookup(1, strconv.Itoa(i)), make([]byte, 16)))
	}
	c.ok(c.call(3, open, make([]byte, 16)))
	c.ok(c.call(3, a, make([]byte, 16)))
}

// Pages of a mapping have their place, also when the handle appends.
func TestAppendingHandle(t *testing.T) {
	c := newClient(t, Options{})
	c.file(c.path("f"), "0123")
	f := c.lookup(1, "f")
	fh := c.open(f, unix.O_WRONLY|unix.O_APPEND)
	write := func(flags uint32, text string) {
		body := append(append(quads(fh, 1), words(1, flags)...), quads(0)...)
		c.ok(c.call(16, f, body, words(unix.O_WRONLY|unix.O_APPEND, 0), []byte(text)))
	}
	write(1, "x") // FUSE_WRITE_CACHE
	write(0, "y")
	if b, _ := os.ReadFile(c.path("f")); string(b) != "0x23y" {
		t.Errorf("the file is %q", b)
	}
}

func TestNodeCap(t *testing.T) {
	c := newClient(t, Options{MaxNodes: 20})
	var ids []uint64
	for i := range 40 {
		c.file(c.path(strconv.Itoa(i)), "")
		b, errno := c.call(opLookup, 1, z(strconv.Itoa(i)))
		if want := unix.Errno(0); i >= 18 { // the root counts twice
			want = unix.ENOMEM
			c.want(want, "lookup")(b, errno)
		} else {
			ids = append(ids, entryOf(c.ok(b, errno)).NodeId)
		}
	}
	dh := c.ok(c.call(27, 1, words(0, 0)))
	c.ok(c.call(opReaddirplus, 1, append(dh[:8:8], rw(0, 0, 1<<16)[8:]...))) // names only
	for _, id := range ids {
		c.call(opForget, id, quads(1))
	}
	c.lookup(1, "39")
}
