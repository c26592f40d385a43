//go:build linux

package harness

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/wire"
)

// tarOf is a stream of files and their texts.
func tarOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := tar.Header{Name: files[i], Mode: 0o640, Uid: os.Getuid(), Gid: os.Getgid(), Size: int64(len(files[i+1])), ModTime: time.Unix(1e9, 0)}
		if strings.HasSuffix(h.Name, "/") {
			h.Mode = 0o750
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// copyIn sends a stream, whole or cut, and returns how the copy ended.
func copyIn(t *testing.T, link *guest.Link, in wire.CopyIn, stream []byte, whole bool) error {
	t.Helper()
	c, err := link.CopyIn(t.Context(), in)
	if err != nil {
		return err
	}
	defer c.Cancel()
	defer time.AfterFunc(patience, c.Cancel).Stop()
	for len(stream) > 0 && err == nil {
		n := min(len(stream), wire.MaxFrame)
		err = c.Send(wire.FrameData, stream[:n])
		stream = stream[n:]
	}
	if err == nil && whole {
		err = c.Send(wire.FrameEnd, nil)
	} else if err == nil {
		c.Cancel()
	}
	_, payload, nextErr := c.Next()
	if nextErr != nil {
		return errors.Join(err, nextErr)
	}
	last, err := guest.Copied(payload)
	if err == nil && last.Error != nil {
		err = fault.New(last.Error.Kind, "", "", "%s", last.Error.Why)
	}
	return err
}

// copyOut is what a copy out gives.
func copyOut(t *testing.T, link *guest.Link, out wire.CopyOut) ([]byte, wire.Copied, error) {
	t.Helper()
	c, err := link.CopyOut(t.Context(), out)
	if err != nil {
		return nil, wire.Copied{}, err
	}
	defer c.Cancel()
	defer time.AfterFunc(patience, c.Cancel).Stop()
	var frames bytes.Buffer
	for {
		kind, payload, err := c.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		wire.WriteFrame(&frames, kind, payload)
	}
	r := wire.NewTarReader(&frames)
	stream, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return stream, r.Copied(), nil
}

// names lists a stream.
func names(t *testing.T, stream []byte) string {
	t.Helper()
	var out []string
	for r := tar.NewReader(bytes.NewReader(stream)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
	}
}

func TestCopyInAndOut(t *testing.T) {
	link := started(t)
	dir := t.TempDir()
	in := wire.CopyIn{Path: []byte(dir), Top: []byte("app"), Dir: true, Keep: true}
	if err := copyIn(t, link, in, tarOf(t, "app/", "", "app/a\xff", "text", "app/zeros", strings.Repeat("\x00", 1<<20)), true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "app/a\xff"))
	if err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Fatalf("%+v, %v", info, err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "app/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	stream, last, err := copyOut(t, link, wire.CopyOut{Path: []byte(dir + "/app")})
	if err != nil || last.Error != nil || last.Left != 1 || names(t, stream) != "app/ app/a\xff app/zeros" {
		t.Errorf("%q, %+v, %v", names(t, stream), last, err)
	}
	stream, _, err = copyOut(t, link, wire.CopyOut{Path: []byte(dir + "/app/a\xff")})
	if err != nil || names(t, stream) != "a\xff" {
		t.Errorf("%q, %v", names(t, stream), err)
	}
}

func TestCopyGivesOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: only root gives files away")
	}
	link, _ := linked(t)
	p, _, err := link.Start(t.Context(), wire.Start{Main: wire.Process{Args: []string{"true"}, Dir: "/", User: "12:34"}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, p, nil)
	for keep, want := range map[bool]string{false: "12:34", true: "0:0"} {
		dir := t.TempDir()
		if err := copyIn(t, link, wire.CopyIn{Path: []byte(dir), Keep: keep}, tarOf(t, "f", "x"), true); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir + "/f")
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); fmt.Sprintf("%d:%d", st.Uid, st.Gid) != want {
			t.Errorf("keep=%v: owner %d:%d, want %s", keep, st.Uid, st.Gid, want)
		}
	}
}

// TestCopyRefusals are told, before the stream or in the middle of it.
func TestCopyRefusals(t *testing.T) {
	link, dir := started(t), t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/dir", 0o700); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("bytes that the guest does not want ", 1<<18)
	for name, c := range map[string]struct {
		in     wire.CopyIn
		stream []byte
		why    string
	}{
		"no parent":          {wire.CopyIn{Path: []byte(dir + "/no/x"), Top: []byte("x")}, nil, "is not there"},
		"directory on file":  {wire.CopyIn{Path: []byte(dir + "/file"), Top: []byte("x"), Dir: true}, nil, "not a directory"},
		"out of the root":    {wire.CopyIn{Path: []byte("/proc/self/root/tmp"), Top: []byte("x")}, nil, "symbolic links"},
		"file on directory":  {wire.CopyIn{Path: []byte(dir), Top: []byte("dir"), Keep: true}, tarOf(t, "dir", big), "a directory"},
		"up":                 {wire.CopyIn{Path: []byte(dir), Keep: true}, tarOf(t, "../x", big), ".."},
		"no tar":             {wire.CopyIn{Path: []byte(dir), Keep: true}, []byte(big), "tar stream"},
		"cut by its sender":  {wire.CopyIn{Path: []byte(dir), Keep: true}, tarOf(t, "cut", big)[:1<<20], "cut"},
		"cut at an entry":    {wire.CopyIn{Path: []byte(dir), Keep: true}, tarOf(t, "whole", "x")[:1024], "cut"},
		"nothing":            {wire.CopyIn{Path: []byte(dir), Keep: true}, nil, "cut"},
		"kernel's directory": {wire.CopyIn{Path: []byte("/proc")}, tarOf(t, "x", "y"), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := copyIn(t, link, c.in, c.stream, true); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want %q", err, c.why)
			}
		})
	}
	for path, why := range map[string]string{dir + "/no": "is not there", dir + "/file/": "not a directory", dir + "/no/no": "is not there", "/proc/self/exe/": "symbolic links"} {
		if _, _, err := copyOut(t, link, wire.CopyOut{Path: []byte(path)}); !fault.Is(err, fault.File) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", path, err, why)
		}
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 3 { // with the entry that came whole
		t.Errorf("there are %q", left)
	}
}

// TestCutCopyLeavesNothing, however far it came.
func TestCutCopyLeavesNothing(t *testing.T) {
	link, dir := started(t), t.TempDir()
	stream := tarOf(t, "file", strings.Repeat("x", 1<<20))
	if err := copyIn(t, link, wire.CopyIn{Path: []byte(dir), Keep: true}, stream[:600<<10], false); err == nil {
		t.Error("a copy that was cancelled ends well")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left, _ := os.ReadDir(dir)
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v is left", left)
		}
	}
}

// TestShutdownEndsCopies before it unmounts: what they hold open would be in the way.
func TestShutdownEndsCopies(t *testing.T) {
	link, machine := linked(t)
	p, _, err := link.Start(t.Context(), wire.Start{Main: wire.Process{Args: []string{"true"}, Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, p, nil)
	dir := t.TempDir()
	under, err := link.CopyIn(t.Context(), wire.CopyIn{Path: []byte(dir), Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	defer under.Cancel()
	if err := under.Send(wire.FrameData, tarOf(t, "file", strings.Repeat("x", 1<<16))[:1<<16]); err != nil {
		t.Fatal(err)
	}
	for begun := false; !begun; time.Sleep(time.Millisecond) {
		files, _ := os.ReadDir(dir)
		begun = len(files) > 0
	}
	go link.Shutdown(t.Context(), wire.Shutdown{}, func() {})
	select {
	case <-machine.stopped:
	case <-time.After(patience):
		t.Fatal("no shutdown")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("a copy is under way: %v", left)
	}
	if _, err := link.CopyOut(t.Context(), wire.CopyOut{Path: []byte(dir)}); !fault.Is(err, fault.WrongState) {
		t.Errorf("a copy begins after it: %v", err)
	}
}
