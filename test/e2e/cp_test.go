package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCopy shares one instance, with a workspace, whose user is not root.
func TestCopy(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	ws := filepath.Join(h.cwd, "ws")
	if err := os.Mkdir(ws, 0o755); err != nil {
		t.Fatal(err)
	}
	h.ok("instance", "start", "--name", "box", "--workspace", ws, "--user", "nobody", "--pause-after", "2s")
	t.Run("trees keep what they are", func(t *testing.T) { h.in(t).copiesTree() })
	t.Run("a large file", func(t *testing.T) { h.in(t).copiesMuch() })
	t.Run("a sparse file", func(t *testing.T) { h.in(t).copiesHoles() })
	t.Run("tar streams", func(t *testing.T) { h.in(t).copiesStreams() })
	t.Run("the workspace", func(t *testing.T) {
		h := h.in(t)
		h.write(filepath.Join(h.cwd, "note"), "for the workspace\n")
		h.ok("cp", "note", "box:/workspace/")
		if got, err := os.ReadFile(filepath.Join(ws, "note")); string(got) != "for the workspace\n" {
			t.Errorf("%q %v", got, err)
		}
		h.write(filepath.Join(ws, "mine"), "of the host\n")
		h.ok("cp", "box:/workspace/mine", "mine")
		if got, err := os.ReadFile(filepath.Join(h.cwd, "mine")); string(got) != "of the host\n" {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("from PAUSED", func(t *testing.T) {
		h := h.in(t)
		h.state("box", "PAUSED", time.Minute)
		h.ok("cp", "box:/etc/hostname", "hostname")
		if got, err := os.ReadFile(filepath.Join(h.cwd, "hostname")); string(got) != "box\n" {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("refusals", func(t *testing.T) { h.in(t).copiesNot() })
	t.Run("a stop ends it", func(t *testing.T) { h.in(t).copyIsStopped() })
}

// copiesTree sends a tree there and back, and looks at it in the guest.
func (h *home) copiesTree() {
	h.t.Helper()
	src := filepath.Join(h.cwd, "tree")
	h.write(src+"/run.sh", "#!/bin/sh\n")
	h.write(src+"/sub/\xff\n odd", "odd")
	h.write(src+"/-rf", "dash")
	at := time.Date(2001, 2, 3, 4, 5, 6, 700000001, time.UTC)
	for _, err := range []error{
		os.Chmod(src+"/run.sh", 0o751), os.Mkdir(src+"/empty", 0o700), os.Link(src+"/run.sh", src+"/sub/hard"),
		os.Symlink("../run.sh", src+"/sub/soft"), os.Symlink("nowhere", src+"/dangling"),
		os.Chtimes(src+"/run.sh", at, at), os.Chtimes(src+"/sub", at, at),
	} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.ok("cp", "tree", "box:/srv/copy")
	const script = `cd /srv/copy; stat -c '%a %U %y' run.sh sub; stat -c %h run.sh; readlink sub/soft dangling; cat sub/*odd; stat -c %a empty; ls -a | wc -l`
	want := "751 nobody 2001-02-03 04:05:06.700000001 +0000\n755 nobody 2001-02-03 04:05:06.700000001 +0000\n2\n../run.sh\nnowhere\nodd700\n7\n"
	if got := h.ok("exec", "-u", "root", "box", "--", "sh", "-c", script); got != want {
		h.t.Errorf("in the guest\n%s\nwant\n%s", got, want)
	}
	h.ok("cp", "box:/srv/copy", "back")
	if out, err := exec.Command("diff", "-r", "--no-dereference", src, filepath.Join(h.cwd, "back")).CombinedOutput(); err != nil {
		h.t.Errorf("it came back otherwise: %s", out)
	}
	first, _ := os.Stat(filepath.Join(h.cwd, "back/run.sh"))
	second, err := os.Stat(filepath.Join(h.cwd, "back/sub/hard"))
	if err != nil || !os.SameFile(first, second) || first.Mode() != 0o751 || !first.ModTime().Equal(at) {
		h.t.Errorf("%+v, %+v, %v", first, second, err)
	}
	h.ok("cp", "-a", "tree/run.sh", "box:/srv/kept")
	want = fmt.Sprintf("%d:%d\n", os.Getuid(), os.Getgid())
	if got := h.ok("exec", "-u", "root", "box", "--", "stat", "-c", "%u:%g", "/srv/kept"); got != want {
		h.t.Errorf("with -a it belongs to %q, want %q", got, want)
	}
}

// copiesMuch compares checksums.
func (h *home) copiesMuch() {
	h.t.Helper()
	const size = 200 << 20
	f, err := os.Create(filepath.Join(h.cwd, "much"))
	if err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{1}), size); err != nil {
		h.t.Fatal(err)
	}
	f.Close()
	want := fmt.Sprintf("%x", sum.Sum(nil))
	h.ok("cp", "much", "box:/root/much")
	if got := h.ok("exec", "-u", "root", "box", "--", "sha256sum", "/root/much"); !strings.HasPrefix(got, want+" ") {
		h.t.Errorf("in the guest %s, want %s", got, want)
	}
	h.ok("cp", "box:/root/much", "again")
	defer os.Remove(filepath.Join(h.cwd, "again"))
	if out, err := exec.Command("cmp", filepath.Join(h.cwd, "much"), filepath.Join(h.cwd, "again")).CombinedOutput(); err != nil {
		h.t.Errorf("it came back otherwise: %s", out)
	}
	h.ok("exec", "-u", "root", "box", "--", "rm", "/root/much")
}

// copiesHoles sends more than the guest's memory, of which nothing is data.
func (h *home) copiesHoles() {
	h.t.Helper()
	f, err := os.Create(filepath.Join(h.cwd, "holes"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 30); err != nil {
		h.t.Fatal(err)
	}
	h.ok("cp", "holes", "box:/root/holes")
	if got := h.ok("exec", "-u", "root", "box", "--", "sh", "-c", "stat -c %s /root/holes; du -k /root/holes"); got != "1073741824\n0\t/root/holes\n" {
		h.t.Errorf("in the guest: %q", got)
	}
	h.ok("cp", "box:/root/holes", "back-holes")
	out, err := exec.Command("du", "-k", filepath.Join(h.cwd, "back-holes")).Output()
	if err != nil || !bytes.HasPrefix(out, []byte("0\t")) {
		h.t.Errorf("on the host: %s %v", out, err)
	}
}

// copiesStreams pipes tar in both directions.
func (h *home) copiesStreams() {
	h.t.Helper()
	out := h.run("", "cp", "box:/usr/share/zoneinfo/Etc", "-")
	if out.code != 0 {
		h.t.Fatalf("%+v", out)
	}
	list := exec.Command("tar", "t")
	list.Stdin = strings.NewReader(out.stdout)
	if names, err := list.Output(); err != nil || !strings.HasPrefix(string(names), "Etc/\n") || !strings.Contains(string(names), "\nEtc/UTC\n") {
		h.t.Errorf("%q %v", names, err)
	}
	h.ok("exec", "-u", "root", "box", "--", "mkdir", "/srv/piped")
	if r := h.run(out.stdout, "cp", "-", "box:/srv/piped"); r.code != 0 {
		h.t.Fatalf("%+v", r)
	}
	h.ok("exec", "box", "--", "diff", "-r", "--no-dereference", "/usr/share/zoneinfo/Etc", "/srv/piped/Etc")
	if r := h.run(out.stdout[:len(out.stdout)/2], "cp", "-", "box:/srv/piped"); r.code != 1 || !strings.Contains(r.stderr, "the tar stream is cut short") {
		h.t.Errorf("a cut stream: %+v", r)
	}
}

// copiesNot are the errors of a user, and of a guest that plants links.
func (h *home) copiesNot() {
	h.t.Helper()
	h.write(filepath.Join(h.cwd, "file"), "x")
	h.fails(1, []string{`copy files into instance "box": "/no" is not there`, "hint: aegis exec box -- ls -ld /no/file"}, "cp", "file", "box:/no/file")
	h.fails(1, []string{`"/srv/no" is not there`}, "cp", "box:/srv/no", ".")
	h.fails(1, []string{`"/etc/hostname" is there and is not a directory`}, "cp", h.cwd, "box:/etc/hostname")
	h.fails(1, []string{"/file\" is there and is not a directory"}, "cp", "box:/etc", "file")
	h.ok("exec", "-u", "root", "box", "--", "sh", "-c", "mkdir /srv/bad && ln -s /etc/passwd /srv/bad/link && ln -s /proc/1/fd /srv/fds && ln -s /proc/1/root /srv/self")
	h.fails(1, []string{"may lead out", "hint: aegis cp --unsafe-links box:/srv/bad bad"}, "cp", "box:/srv/bad", "bad")
	if left, err := filepath.Glob(filepath.Join(h.cwd, "bad/*")); len(left) > 0 {
		h.t.Errorf("the link is there: %q %v", left, err)
	}
	for _, trick := range []string{"/srv/self/etc/passwd", "/proc/self/root/etc/passwd", "/proc/1/cwd/etc"} {
		h.fails(1, []string{"too many levels of symbolic links"}, "cp", "box:"+trick, "tricked")
	}
	h.ok("instance", "start", "--name", "off")
	h.ok("instance", "stop", "off")
	h.fails(1, []string{"it is STOPPED", "hint: aegis instance start --name off"}, "cp", "file", "off:/")
}

// copyIsStopped stops the instance under a copy that would never end.
func (h *home) copyIsStopped() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := h.command(ctx, "cp", "-", "box:/srv")
	r, w, err := os.Pipe() // a file: Wait does not wait for it
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = r, &stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.eventually(time.Minute, "the copy is under way", func() error {
		if why := h.info("box").AwakeBecause; !strings.Contains(strings.Join(why, ","), "copy") {
			return fmt.Errorf("awake because %q", why)
		}
		return nil
	})
	h.ok("instance", "stop", "box")
	cmd.Wait()
	said := stderr.String() // the stop may overtake the copy on its way into the guest
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, "went away before the copy had ended") && !strings.Contains(said, "the guest is shutting down") {
		h.t.Errorf("exit status %d, %s", cmd.ProcessState.ExitCode(), &stderr)
	}
	if exit := h.info("box").Exit; exit == nil || exit.Reason != "stopped" {
		h.t.Errorf("exit %+v", exit)
	}
	h.ok("instance", "start", "--name", "box")
}
