package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"aegis/internal/fault"
)

// moment has nanoseconds.
var moment = time.Date(2001, 2, 3, 4, 5, 6, 789012345, time.UTC)

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { root.Close() })
	return root
}

// into is a target that is known.
func into(t *testing.T, dir, as string) Target {
	return func(bool) (*os.Root, string, error) {
		root, err := os.OpenRoot(dir)
		return root, as, err
	}
}

// pack is the stream of an entry.
func pack(t *testing.T, dir, name, as string) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Pack(&b, open(t, dir), name, as)
	check(t, err)
	return b.Bytes()
}

// describe lists a tree: kinds, modes, times, contents and links.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	first := map[uint64]string{}
	check(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&out, "%q %s %d", rel, info.Mode(), info.ModTime().UnixNano())
		st := info.Sys().(*syscall.Stat_t)
		switch {
		case info.Mode().IsRegular() && first[st.Ino] != "":
			fmt.Fprintf(&out, " = %q", first[st.Ino])
		case info.Mode().IsRegular():
			first[st.Ino] = rel
			text, err := os.ReadFile(p)
			check(t, err)
			fmt.Fprintf(&out, " %d %.40q", len(text), text)
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			check(t, err)
			fmt.Fprintf(&out, " -> %q", target)
		}
		out.WriteByte('\n')
		return nil
	}))
	return out.String()
}

// example makes a tree with one of everything.
func example(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	long := strings.Repeat("long-", 30)
	for _, d := range []string{"", "empty", "sub", "sub/" + long, "sub/" + long + "/" + long, "locked"} {
		check(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for name, text := range map[string]string{
		"a": "first", "sub/b": "", "sub/" + long + "/" + long + "/" + long: "deep", "locked/in": "x",
		"\xff\xfe bytes\n\t": "any", "größe": "utf8", "-rf": "dash", "*": "star",
		"big": strings.Repeat("0123456789abcdef", 3*blockSize/16+7),
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	check(t,
		os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "sub/hard")),
		os.Symlink("a", filepath.Join(dir, "soft")),
		os.Symlink("../a", filepath.Join(dir, "sub/up")),
		os.Symlink("no\xffwhere", filepath.Join(dir, "dangling")),
		os.Chmod(filepath.Join(dir, "a"), 0o751),
		os.Chmod(filepath.Join(dir, "-rf"), 0o400),
		os.Chmod(filepath.Join(dir, "empty"), 0o1777),
		os.Chmod(filepath.Join(dir, "big"), 0o755|fs.ModeSetuid),
	)
	for _, name := range []string{"soft", "sub/up", "dangling"} {
		root := open(t, dir)
		if !strings.Contains(name, "/") {
			setLinkTime(root, name, moment)
		}
	}
	check(t, os.Chtimes(filepath.Join(dir, "a"), moment, moment), os.Chtimes(filepath.Join(dir, "sub"), moment, moment),
		os.Chmod(filepath.Join(dir, "locked"), 0o555), os.Chtimes(dir, moment, moment.Add(-time.Hour)))
	return dir
}

func TestRoundTrip(t *testing.T) {
	src := example(t)
	t.Cleanup(func() { os.Chmod(filepath.Join(src, "locked"), 0o755) })
	stream := pack(t, filepath.Dir(src), "src", "src")
	dst := t.TempDir()
	for range 2 { // the second time over the first
		check(t, Unpack(bytes.NewReader(stream), into(t, dst, "copy"), Options{Top: "src"}))
		if got, want := describe(t, filepath.Join(dst, "copy")), describe(t, src); clear(got) != clear(want) {
			t.Errorf("the copy is\n%s\nand the source\n%s", got, want)
		}
	}
	check(t, os.Chmod(filepath.Join(dst, "copy/locked"), 0o755))
}

// clear leaves out the time of the one link that the example could not set.
func clear(list string) string {
	lines := strings.Split(list, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `"sub/up" `) {
			lines[i] = strings.Join(slices.Delete(strings.Fields(line), 2, 3), " ")
		}
	}
	return strings.Join(lines, "\n")
}

// TestForeignModes: nothing that a stranger sends runs as somebody else.
func TestForeignModes(t *testing.T) {
	src := example(t)
	t.Cleanup(func() { os.Chmod(filepath.Join(src, "locked"), 0o755) })
	dst := t.TempDir()
	check(t, Unpack(bytes.NewReader(pack(t, filepath.Dir(src), "src", "src")), into(t, dst, "copy"), Options{Top: "src", Foreign: true}))
	t.Cleanup(func() { os.Chmod(filepath.Join(dst, "copy/locked"), 0o755) })
	for name, want := range map[string]fs.FileMode{"big": 0o755, "empty": fs.ModeDir | 0o777, "a": 0o751} {
		if info, err := os.Stat(filepath.Join(dst, "copy", name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestHolesStay(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	f, err := os.Create(filepath.Join(src, "disk"))
	check(t, err)
	_, err = f.WriteAt([]byte("middle"), 8<<20+5)
	_, err2 := f.WriteAt(make([]byte, 3*blockSize), 4<<20) // zeros that are no hole
	check(t, err, err2, f.Truncate(16<<20+3), f.Close())
	check(t, Unpack(bytes.NewReader(pack(t, src, "disk", "disk")), into(t, dst, "disk"), Options{Top: "disk", Foreign: true}))
	var st syscall.Stat_t
	check(t, syscall.Stat(filepath.Join(dst, "disk"), &st))
	if st.Size != 16<<20+3 || st.Blocks*512 > 1<<20 {
		t.Errorf("size %d, %d bytes on disk", st.Size, st.Blocks*512)
	}
	got, err := os.ReadFile(filepath.Join(dst, "disk"))
	if check(t, err); string(got[8<<20+5:8<<20+11]) != "middle" || len(bytes.Trim(got, "\x00")) != 6 {
		t.Error("the contents differ")
	}
}

// TestSpecialFilesAreLeftOut does not wait for a pipe's other end.
func TestSpecialFilesAreLeftOut(t *testing.T) {
	src := t.TempDir()
	check(t, syscall.Mkfifo(filepath.Join(src, "pipe"), 0o600), os.WriteFile(filepath.Join(src, "file"), nil, 0o600))
	var b bytes.Buffer
	left, err := Pack(&b, open(t, src), ".", ".")
	if check(t, err); left != 1 {
		t.Errorf("%d were left out", left)
	}
	dst := t.TempDir()
	check(t, Unpack(&b, into(t, dst, "."), Options{Top: "."}))
	if names, _ := filepath.Glob(dst + "/*"); len(names) != 1 {
		t.Errorf("%q", names)
	}
}

// TestKernelsFilesAreNot are not copied: some have no end.
func TestKernelsFilesAreNot(t *testing.T) {
	var b bytes.Buffer
	_, err := Pack(&b, open(t, "/"), "proc", "proc")
	if err != nil {
		t.Skipf("pending: /proc can't be read here: %v", err)
	}
	r := tar.NewReader(&b)
	if h, err := r.Next(); err != nil || h.Name != "proc/" {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := r.Next(); err != io.EOF {
		t.Skipf("pending: this system's /proc is an ordinary directory, with %s in it", h.Name)
	}
}

// TestShrinking is a file that has lost its end.
func TestShrinking(t *testing.T) {
	src := t.TempDir()
	name := filepath.Join(src, "log")
	check(t, os.WriteFile(name, make([]byte, 4*blockSize), 0o600))
	shrink := writer(func(b []byte) (int, error) { return len(b), os.Truncate(name, 0) })
	if _, err := Pack(shrink, open(t, src), "log", "log"); !fault.Is(err, fault.File) || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("%v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestOwner is asked for everything that is made.
func TestOwner(t *testing.T) {
	src := example(t)
	t.Cleanup(func() { os.Chmod(filepath.Join(src, "locked"), 0o755) })
	asked := 0
	owner := func(int, int) (int, int) { asked++; return os.Getuid(), os.Getgid() }
	dst := t.TempDir()
	check(t, Unpack(bytes.NewReader(pack(t, src, ".", ".")), into(t, dst, "."), Options{Owner: owner}))
	t.Cleanup(func() { os.Chmod(filepath.Join(dst, "locked"), 0o755) })
	made := strings.Count(describe(t, dst), "\n") - 2 // neither the target nor the hard link
	if asked != made {
		t.Errorf("asked %d times for %d entries", asked, made)
	}
	info, err := os.Stat(filepath.Join(dst, "big"))
	if check(t, err); info.Mode()&fs.ModeSetuid == 0 {
		t.Error("the owner's change took the mode's bits away")
	}
}
