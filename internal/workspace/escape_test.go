//go:build linux

package workspace

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNamesAreOneComponent(t *testing.T) {
	c := newClient(t, Options{})
	c.file(c.path("f"), "")
	f := c.lookup(1, "f")
	// Nothing of the machine is named here: a test that fails must not hurt it.
	for _, name := range []string{"", ".", "..", "/", "../out/canary", "a/b", c.out + "/canary", "../out/new", "..\x00x"} {
		n := z(name)
		for what, op := range map[string]func() ([]byte, unix.Errno){
			"lookup":      func() ([]byte, unix.Errno) { return c.call(opLookup, 1, n, n) },
			"mknod":       func() ([]byte, unix.Errno) { return c.call(8, 1, words(unix.S_IFREG|0o644, 0, 0, 0), n) },
			"mkdir":       func() ([]byte, unix.Errno) { return c.call(9, 1, words(0o755, 0), n) },
			"unlink":      func() ([]byte, unix.Errno) { return c.call(10, 1, n, n) },
			"rmdir":       func() ([]byte, unix.Errno) { return c.call(11, 1, n, n) },
			"symlink":     func() ([]byte, unix.Errno) { return c.call(6, 1, n, z("text")) },
			"rename from": func() ([]byte, unix.Errno) { return c.call(12, 1, quads(1), n, z("x")) },
			"rename to":   func() ([]byte, unix.Errno) { return c.call(45, 1, quads(1, 0), z("f"), n) },
			"link":        func() ([]byte, unix.Errno) { return c.call(13, 1, quads(f), n) },
			"create":      func() ([]byte, unix.Errno) { return c.call(35, 1, words(unix.O_RDWR, 0o644, 0, 0), n) },
		} {
			if name == "..\x00x" && (what == "symlink" || strings.HasPrefix(what, "rename")) {
				continue // there the rest is the second string
			}
			c.want(unix.EINVAL, what+" "+name)(op())
		}
	}
	c.want(unix.ENAMETOOLONG, "long")(c.call(opLookup, 1, z(strings.Repeat("x", 256))))
	c.untouched()
}

func TestSymlinksAreNotFollowed(t *testing.T) {
	c := newClient(t, Options{})
	for name, text := range map[string]string{"dir": c.out, "file": c.out + "/canary", "proc": "/proc/self/root", "up": ".."} {
		if err := os.Symlink(text, c.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dir", "proc", "up"} {
		n := c.lookup(1, name)
		for what, op := range map[string]opcode{"lookup": opLookup, "unlink": 10, "rmdir": 11} {
			c.want(unix.ENOTDIR, what+" below "+name)(c.call(op, n, z("canary")))
		}
		c.want(unix.ENOTDIR, "create below "+name)(c.call(35, n, words(unix.O_RDWR, 0o644, 0, 0), z("new")))
		c.want(unix.ENOTDIR, "opendir "+name)(c.call(27, n, words(0, 0)))
		c.want(unix.ENOTDIR, "rename into "+name)(c.call(12, 1, quads(n), z("file"), z("x")))
		c.want(unix.ENOTDIR, "tmpfile in "+name)(c.call(51, n, words(unix.O_RDWR, 0o644, 0, 0), z("/")))
	}
	n := c.lookup(1, "file")
	c.want(unix.ELOOP, "open")(c.call(14, n, words(unix.O_RDWR, 0)))
	c.want(unix.EOPNOTSUPP, "chmod")(c.call(4, n, setattr(1, 0o777, 0)))
	c.want(unix.EINVAL, "truncate")(c.call(4, n, setattr(8, 0, 0)))
	c.want(unix.EPERM, "setxattr")(c.call(21, n, words(1, 0), z("user.k"), []byte("v")))
	c.want(unix.ESTALE, "create over a link")(c.call(35, 1, words(unix.O_RDWR|unix.O_TRUNC, 0o644, 0, 0), z("file")))
	c.ok(c.call(4, n, setattr(1<<7|1<<8, 0, 0))) // times: the link's own
	c.ok(c.call(13, 1, quads(n), z("again")))    // one more name of the link itself
	if text, err := os.Readlink(c.path("again")); text != c.out+"/canary" {
		t.Errorf("linked %q %v", text, err)
	}
	c.untouched()
}

// A directory becomes a link to the outside and back while requests run.
func TestSwapRace(t *testing.T) {
	c := newClient(t, Options{})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(c.path("d"), 0o755))
	must(os.Symlink(c.out, c.path("l")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, c.path("d"), unix.AT_FDCWD, c.path("l"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 3000 {
		b, errno := c.call(opLookup, 1, z("d"))
		if errno != 0 {
			continue
		}
		d := entryOf(b).NodeId
		c.age()
		c.call(opLookup, d, z("canary"))
		c.call(35, d, words(unix.O_RDWR|unix.O_TRUNC, 0o644, 0, 0), z("canary"))
		c.call(10, d, z("canary"))
		c.call(45, d, quads(1, 0), z("sub"), z("stolen"))
		c.call(13, d, quads(d), z("linked"))
	}
	close(stop)
	<-stopped
	c.untouched()
	if _, err := os.Lstat(c.path("stolen")); err == nil {
		t.Error("a directory from outside was moved in")
	}
}

// age makes every node due for a look at its place.
func (c *client) age() {
	c.s.nodes.mu.Lock()
	defer c.s.nodes.mu.Unlock()
	for _, n := range c.s.nodes.byID {
		n.checked = 0
	}
}

// What the host moves out is lost to the guest, open listing or not; what it
// moves inside is not.
func TestMovedDirectories(t *testing.T) {
	c := newClient(t, Options{})
	for _, d := range []string{"a", "a/b", "c"} {
		if err := os.Mkdir(c.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.file(c.path("a/b/f"), "x")
	a := c.lookup(1, "a")
	b := c.lookup(a, "b")
	c.lookup(b, "f")
	if err := os.Rename(c.path("a/b"), c.path("c/b")); err != nil {
		t.Fatal(err)
	}
	c.age()
	c.lookup(b, "f")
	if err := os.Rename(c.path("c/b"), c.out+"/sub/b"); err != nil {
		t.Fatal(err)
	}
	c.age()
	c.want(unix.ESTALE, "lookup in a moved directory")(c.call(opLookup, b, z("f")))
	c.want(unix.ESTALE, "list a moved directory")(c.call(27, b, words(0, 0)))
	os.RemoveAll(c.out + "/sub/b")
	c.untouched()
}

func TestSpecialFiles(t *testing.T) {
	c := newClient(t, Options{})
	for _, kind := range []uint32{unix.S_IFCHR, unix.S_IFBLK, unix.S_IFDIR, unix.S_IFLNK, 0} {
		c.want(unix.EPERM, "mknod")(c.call(8, 1, words(kind|0o666, 0x103, 0, 0), z("dev")))
	}
	c.ok(c.call(8, 1, words(unix.S_IFIFO|0o666, 0, 0, 0), z("fifo")))
	c.ok(c.call(8, 1, words(unix.S_IFSOCK|0o666, 0, 0, 0), z("sock")))
	names := []string{"fifo", "sock"}
	if unix.Mknod(c.path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) == nil {
		names = append(names, "null") // needs root
	}
	for _, name := range names {
		n := c.lookup(1, name)
		for _, flags := range []uint32{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_NONBLOCK} {
			c.want(unix.EPERM, "open "+name)(c.call(14, n, words(flags, 0)))
		}
		c.want(unix.EINVAL, "truncate "+name)(c.call(4, n, setattr(8, 0, 0)))
		c.ok(c.call(4, n, setattr(1, 0o600, 0)))
		c.want(unix.ESTALE, "create over "+name)(c.call(35, 1, words(unix.O_RDWR, 0o644, 0, 0), z(name)))
	}
	c.want(unix.EINVAL, "whiteout")(c.call(45, 1, append(quads(1), words(unix.RENAME_WHITEOUT, 0)...), z("fifo"), z("x")))
}

func TestSetUIDIsMasked(t *testing.T) {
	c := newClient(t, Options{})
	c.ok(c.call(8, 1, words(unix.S_IFREG|0o6755, 0, 0, 0), z("a")))
	c.ok(c.call(9, 1, words(0o6755, 0), z("b")))
	c.ok(c.call(35, 1, words(unix.O_RDWR, 0o6755, 0, 0), z("c")))
	c.ok(c.call(4, c.lookup(1, "a"), setattr(1, 0o6755, 0)))
	for _, name := range []string{"a", "b", "c"} {
		var st unix.Stat_t
		if err := unix.Lstat(c.path(name), &st); err != nil || st.Mode&07777 != 0o755 {
			t.Errorf("%s: mode %o %v", name, st.Mode, err)
		}
	}
	if err := unix.Chmod(c.path("a"), 0o4755); err != nil {
		t.Fatal(err)
	}
	if e := entryOf(c.ok(c.call(opLookup, 1, z("a")))); e.Mode&07777 != 0o755 {
		t.Errorf("the guest sees mode %o", e.Mode)
	}
}

// Mount points inside the workspace were not given to the guest.
func TestMountsAreNotCrossed(t *testing.T) {
	c := newClient(t, Options{})
	if err := os.Mkdir(c.path("m"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(c.out, c.path("m"), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("pending: a bind mount needs root: %v", err)
	}
	defer unix.Unmount(c.path("m"), unix.MNT_DETACH)
	c.want(unix.EXDEV, "lookup")(c.call(opLookup, 1, z("m")))
	if unix.Unmount(c.path("m"), unix.MNT_DETACH) != nil {
		t.Fatal("unmount")
	}
	m := c.lookup(1, "m")
	if err := unix.Mount(c.out, c.path("m"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	c.want(unix.ESTALE, "node that was mounted over")(c.call(opLookup, m, z("canary")))
	c.untouched()
}
