//go:build linux

package workspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/workspace"
)

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("pending: git is not installed")
	}
	host, guest := mounted(t, workspace.Options{})
	sh(t, `cd "$1"; git init -q a; cd a; seq 1 2000 > f; mkdir d; ln -s ../f d/l; git add .
		git -c user.name=x -c user.email=x@y commit -qm one; cd ..; git clone -q a b; cmp a/f b/f
		cd b; git status --porcelain; git fsck --strict 2>&1; git gc -q`, guest)
	if out := sh(t, `cd "$1/b"; git status --porcelain`, host); out != "" {
		t.Errorf("the host sees a dirty clone: %s", out)
	}
}

func TestSQLite(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("pending: sqlite3 is not installed")
	}
	host, guest := mounted(t, workspace.Options{})
	for _, mode := range []string{"delete", "wal"} {
		script := `cd "$1"; sqlite3 ` + mode + `.db "pragma journal_mode=` + mode + `; create table t(x);"
			for p in 1 2 3; do (for i in 1 2 3 4 5; do sqlite3 -cmd '.timeout 20000' ` + mode + `.db "insert into t values($p)"; done) & done; wait
			sqlite3 ` + mode + `.db "select count(*) from t; pragma integrity_check"`
		if out := sh(t, script, guest); !bytes.HasSuffix([]byte(out), []byte("15\nok\n")) {
			t.Errorf("%s: %s", mode, out)
		}
	}
	if out := sh(t, `cd "$1"; sqlite3 delete.db "select count(*) from t"`, host); out != "15\n" {
		t.Errorf("host: %s", out)
	}
}

func TestRename(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	a, b := filepath.Join(guest, "a"), filepath.Join(guest, "b")
	write(t, a, "A")
	write(t, b, "B")
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_NOREPLACE); err != unix.EEXIST {
		t.Errorf("noreplace: %v", err)
	}
	must(t, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
	if read(t, filepath.Join(host, "a"))+read(t, b) != "BA" {
		t.Error("exchange did not swap")
	}
	must(t, os.Rename(a, b))
	if got := read(t, filepath.Join(host, "b")); got != "B" {
		t.Errorf("rename over: %q", got)
	}
	must(t, os.MkdirAll(filepath.Join(guest, "d/e"), 0o755))
	write(t, filepath.Join(guest, "d/e/f"), "F")
	must(t, os.Rename(filepath.Join(guest, "d"), filepath.Join(guest, "g")))
	if got := read(t, filepath.Join(guest, "g/e/f")); got != "F" {
		t.Errorf("below a renamed directory: %q", got)
	}
}

func TestCreateFlags(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	name := filepath.Join(guest, "x")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o444)
	must(t, err)
	defer f.Close()
	if _, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); !errors.Is(err, os.ErrExist) {
		t.Errorf("O_EXCL on an existing file: %v", err)
	}
	fmt.Fprint(f, "hello")
	must(t, f.Sync())
	st, err := os.Stat(filepath.Join(host, "x"))
	must(t, err)
	if st.Mode() != 0o444 || st.Size() != 5 {
		t.Errorf("host sees %v", st)
	}
	a, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer a.Close()
	h, err := os.OpenFile(filepath.Join(host, "x"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer h.Close()
	for i := range 10 { // both sides append: nothing is lost
		fmt.Fprint(a, i)
		fmt.Fprint(h, i)
	}
	if got := read(t, filepath.Join(host, "x")); got != "hello00112233445566778899" {
		t.Errorf("appended: %q", got)
	}
	tr, err := os.OpenFile(name, os.O_TRUNC|os.O_WRONLY, 0)
	must(t, err)
	tr.Close()
	if got := read(t, filepath.Join(host, "x")); got != "" {
		t.Errorf("after O_TRUNC: %q", got)
	}
	d, err := os.OpenFile(name, os.O_RDWR|unix.O_DIRECT, 0)
	must(t, err)
	defer d.Close()
	if _, err := d.Write(make([]byte, 4096)); err != nil {
		t.Errorf("O_DIRECT: %v", err)
	}
}

func TestNamelessFiles(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	f, err := os.OpenFile(guest, unix.O_TMPFILE|os.O_RDWR, 0o640)
	must(t, err)
	defer f.Close()
	fmt.Fprint(f, "tmp")
	must(t, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, filepath.Join(guest, "named"), unix.AT_SYMLINK_FOLLOW))
	if got := read(t, filepath.Join(host, "named")); got != "tmp" {
		t.Errorf("linked O_TMPFILE: %q", got)
	}
	must(t, os.Remove(filepath.Join(guest, "named")))
	fmt.Fprint(f, "more")
	st, err := f.Stat()
	must(t, err)
	b := make([]byte, 7)
	_, err = f.ReadAt(b, 0)
	if err != nil || string(b) != "tmpmore" || st.Size() != 7 {
		t.Errorf("unlinked: %q size %d %v", b, st.Size(), err)
	}
	must(t, f.Chmod(0o600))
	must(t, f.Truncate(3))
}

func TestLinksAndTimes(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	a := filepath.Join(guest, "a")
	write(t, a, "A")
	must(t, os.Link(a, filepath.Join(guest, "b")))
	must(t, os.Symlink("../../etc/passwd", filepath.Join(guest, "s")))
	must(t, os.Link(filepath.Join(guest, "s"), filepath.Join(guest, "s2")))
	if text, _ := os.Readlink(filepath.Join(host, "s2")); text != "../../etc/passwd" {
		t.Errorf("link text %q", text)
	}
	ha, _ := os.Stat(filepath.Join(host, "a"))
	hb, _ := os.Stat(filepath.Join(host, "b"))
	if !os.SameFile(ha, hb) {
		t.Error("hard link is another file")
	}
	when := time.Unix(1_234_567_890, 123_456_789)
	must(t, os.Chtimes(a, time.Time{}, when))
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(guest, "s"), []unix.Timespec{{Sec: 5, Nsec: 7}, {Sec: 6, Nsec: 8}}, unix.AT_SYMLINK_NOFOLLOW))
	hs, err := os.Lstat(filepath.Join(host, "s"))
	must(t, err)
	ha, _ = os.Stat(filepath.Join(host, "a"))
	if !ha.ModTime().Equal(when) || !hs.ModTime().Equal(time.Unix(6, 8)) {
		t.Errorf("times %v %v", ha.ModTime(), hs.ModTime())
	}
	must(t, os.Chmod(a, 0o4751))
	if st, _ := os.Stat(filepath.Join(host, "a")); st.Mode() != 0o751 {
		t.Errorf("mode with a set-uid bit: %v", st.Mode())
	}
}

func TestSparse(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	f, err := os.Create(filepath.Join(guest, "big"))
	must(t, err)
	defer f.Close()
	const at = 5<<30 + 7
	_, err = f.WriteAt([]byte("end"), at)
	must(t, err)
	b := make([]byte, 3)
	_, err = f.ReadAt(b, at)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(host, "big"), &st))
	if string(b) != "end" || st.Size != at+3 || st.Blocks > 64 {
		t.Errorf("%q size %d blocks %d", b, st.Size, st.Blocks)
	}
	if pos, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); err != nil || pos < 5<<30-4096 {
		t.Errorf("SEEK_DATA: %d %v", pos, err)
	}
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 5<<30, 4096))
	_, err = f.ReadAt(b, at)
	if err != nil || string(b) != "\x00\x00\x00" {
		t.Errorf("after punch: %q %v", b, err)
	}
}

func TestXattrs(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	name := filepath.Join(guest, "a")
	write(t, name, "")
	if err := unix.Setxattr(filepath.Join(host, "a"), "user.probe", nil, 0); err != nil {
		t.Skipf("pending: no extended attributes here: %v", err)
	}
	must(t, unix.Setxattr(name, "user.k", []byte("v\x00w"), unix.XATTR_CREATE))
	b := make([]byte, 64)
	if n, err := unix.Getxattr(filepath.Join(host, "a"), "user.k", b); err != nil || string(b[:n]) != "v\x00w" {
		t.Errorf("host: %q %v", b[:max(n, 0)], err)
	}
	n, err := unix.Listxattr(name, b)
	if err != nil || !bytes.Contains(b[:n], []byte("user.k\x00")) {
		t.Errorf("list: %q %v", b[:max(n, 0)], err)
	}
	must(t, unix.Removexattr(name, "user.k"))
	if _, err := unix.Getxattr(name, "user.k", b); err != unix.ENODATA {
		t.Errorf("removed: %v", err)
	}
	for _, k := range []string{"trusted.k", "security.k", "security.capability"} {
		if err := unix.Setxattr(name, k, []byte("v"), 0); err == nil {
			t.Errorf("%s was set", k)
		}
		if _, err := unix.Getxattr(filepath.Join(host, "a"), k, b); err == nil {
			t.Errorf("%s is on the host", k)
		}
	}
}

func TestManyNames(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	odd := []string{"\xff\xfe", "a\nb", " ", "-rf", "...", "\x01", "日本", string(bytes.Repeat([]byte("x"), 255)), ".go-fuse-epoll-hack"}
	for _, n := range odd {
		if _, err := os.Lstat(filepath.Join(guest, n)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q before: %v", n, err)
		}
		write(t, filepath.Join(guest, n), n)
		if got := read(t, filepath.Join(host, n)); got != n {
			t.Errorf("%q holds %q", n, got)
		}
	}
	const many = 10_000
	must(t, os.Mkdir(filepath.Join(host, "many"), 0o755))
	for i := range many {
		must(t, os.WriteFile(filepath.Join(host, "many", fmt.Sprint(i)), nil, 0o644))
	}
	list, err := os.ReadDir(filepath.Join(guest, "many"))
	if err != nil || len(list) != many {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	for _, e := range list {
		if _, err := e.Info(); err != nil {
			t.Fatal(err)
		}
	}
	must(t, os.RemoveAll(filepath.Join(guest, "many")))
}
