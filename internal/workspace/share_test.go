//go:build linux

package workspace_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
	"aegis/internal/workspace"
)

// A newly opened file shows what the host has just written, however warm the
// guest's caches are.
func TestHostEditsAtOnce(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	h, g := filepath.Join(host, "f"), filepath.Join(guest, "f")
	for i := range 30 {
		text := fmt.Sprintf("%0*d", 1+i%7, i)
		if i%2 == 0 { // in place
			write(t, h, text)
		} else { // as editors do
			write(t, h+"~", text)
			must(t, os.Rename(h+"~", h))
		}
		for range 2 {
			if got := read(t, g); got != text {
				t.Fatalf("edit %d: guest reads %q, host wrote %q", i, got, text)
			}
		}
		must(t, os.Chmod(g, 0o644)) // carries attributes past the pages
	}
	write(t, h+"new", "x")
	if got := read(t, g+"new"); got != "x" {
		t.Errorf("new file: %q", got)
	}
	must(t, os.Remove(h))
	if _, err := os.Open(g); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed file: %v", err)
	}
}

// An open file shows an edit when the attributes run out.
func TestHostEditsWhileOpen(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	write(t, filepath.Join(host, "f"), "one")
	f, err := os.Open(filepath.Join(guest, "f"))
	must(t, err)
	defer f.Close()
	b := make([]byte, 8)
	f.ReadAt(b, 0)
	write(t, filepath.Join(host, "f"), "three")
	deadline := time.Now().Add(20 * time.Second) // a bound on failure only
	for {
		n, err := f.ReadAt(b, 0)
		if err == io.EOF && string(b[:n]) == "three" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %q, %v", b[:n], err)
		}
	}
}

func TestOwners(t *testing.T) {
	host, guest := t.TempDir(), t.TempDir()
	mountOn(t, host, guest, workspace.Options{}, wire.Owner{UID: 1000, GID: 1001}.Message())
	write(t, filepath.Join(host, "mine"), "")
	write(t, filepath.Join(host, "other"), "")
	must(t, os.Chown(filepath.Join(host, "other"), 7, 8))
	write(t, filepath.Join(guest, "made"), "") // by root, who is not the main user
	must(t, os.Chown(filepath.Join(guest, "mine"), 33, 34))
	write(t, filepath.Join(host, "plain"), "")
	for name, want := range map[string][2]uint32{"mine": {33, 34}, "other": {65534, 65534}, "made": {0, 0}, "plain": {1000, 1001}} {
		var g, h unix.Stat_t
		must(t, unix.Stat(filepath.Join(guest, name), &g))
		must(t, unix.Stat(filepath.Join(host, name), &h))
		if got := [2]uint32{g.Uid, g.Gid}; got != want {
			t.Errorf("%s shows as %v, want %v", name, got, want)
		}
		if name != "other" && (int(h.Uid) != os.Geteuid() || int(h.Gid) != os.Getegid()) {
			t.Errorf("%s belongs to %d:%d on the host", name, h.Uid, h.Gid)
		}
	}
}

func TestMmap(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("pending: python3 is not installed")
	}
	host, guest := mounted(t, workspace.Options{})
	write(t, filepath.Join(guest, "m"), "0123456789")
	script := `
import mmap, os, sys
log = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
m = mmap.mmap(log, 10)
m[2:4] = b"xy"
m.flush()
os.write(log, b"!")
m.close()
`
	if out, err := exec.Command(python, "-c", script, filepath.Join(guest, "m")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := read(t, filepath.Join(host, "m")); got != "01xy456789!" {
		t.Errorf("host reads %q", got)
	}
}

// Locks exclude guest and host from each other, and a blocked one blocks nothing else.
func TestLocksAcrossTheBoundary(t *testing.T) {
	host, guest := mounted(t, workspace.Options{})
	write(t, filepath.Join(host, "l"), "x")
	h, err := os.OpenFile(filepath.Join(host, "l"), os.O_RDWR, 0)
	must(t, err)
	defer h.Close()
	g, err := os.OpenFile(filepath.Join(guest, "l"), os.O_RDWR, 0)
	must(t, err)
	defer g.Close()
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	must(t, unix.FcntlFlock(h.Fd(), unix.F_OFD_SETLK, &whole))
	must(t, unix.Flock(int(h.Fd()), unix.LOCK_EX))
	if err := unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EAGAIN {
		t.Errorf("flock while the host has it: %v", err)
	}
	one := unix.Flock_t{Type: unix.F_WRLCK, Start: 3, Len: 4}
	if err := unix.FcntlFlock(g.Fd(), unix.F_SETLK, &one); err != unix.EAGAIN {
		t.Errorf("fcntl while the host has it: %v", err)
	}
	got := make(chan error, 40)
	for range 40 { // more than there are workers
		go func() {
			r := unix.Flock_t{Type: unix.F_RDLCK}
			got <- unix.FcntlFlock(g.Fd(), unix.F_SETLKW, &r)
		}()
	}
	for i := range 50 {
		write(t, filepath.Join(guest, fmt.Sprint(i)), "x")
	}
	whole.Type = unix.F_UNLCK
	must(t, unix.FcntlFlock(h.Fd(), unix.F_OFD_SETLK, &whole))
	for range 40 {
		must(t, <-got)
	}
	whole.Type = unix.F_WRLCK
	if err := unix.FcntlFlock(h.Fd(), unix.F_OFD_SETLK, &whole); err != unix.EAGAIN {
		t.Errorf("host lock while the guest has it: %v", err)
	}
	g2, err := os.Open(filepath.Join(guest, "l"))
	must(t, err)
	g2.Close() // closing any descriptor drops the process's fcntl locks
	must(t, unix.FcntlFlock(h.Fd(), unix.F_OFD_SETLK, &whole))
}

func TestReadOnly(t *testing.T) {
	host, guest := mounted(t, workspace.Options{ReadOnly: true})
	write(t, filepath.Join(host, "f"), "text")
	if got := read(t, filepath.Join(guest, "f")); got != "text" {
		t.Fatalf("reads %q", got)
	}
	if err := os.WriteFile(filepath.Join(guest, "g"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("write: %v", err)
	}
}

// One open file too many is an error of that open, and passes.
func TestHandleCap(t *testing.T) {
	_, guest := mounted(t, workspace.Options{MaxHandles: 8})
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	for i := range 8 {
		f, err := os.Create(filepath.Join(guest, fmt.Sprint(i)))
		must(t, err)
		open = append(open, f)
	}
	if _, err := os.Create(filepath.Join(guest, "more")); !errors.Is(err, unix.ENFILE) {
		t.Errorf("one handle too many: %v", err)
	}
	must(t, open[0].Close())
	open = open[1:]
	deadline := time.Now().Add(20 * time.Second) // RELEASE comes after close
	for {
		f, err := os.Open(filepath.Join(guest, "0"))
		if err == nil {
			f.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
