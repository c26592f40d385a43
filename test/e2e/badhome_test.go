//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	noApt        = `fetch the guest kernel: apt-cache is not on PATH, and only Debian's packages are known as a source of kernels`
	noMmdebstrap = `make default image: mmdebstrap is not installed: it makes the default image; run: sudo apt-get install mmdebstrap`
)

// TestSpoiledAssets starts with a kernel or an image that is missing or cut short,
// where set-up cannot make it anew: each start says so and leaves nothing, a
// connection is told, and all is well when the file is back.
func TestSpoiledAssets(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	own := h.ownCache()
	h.onPath(monitor(t), "mkfs.ext4")
	url := h.serve("web", "--pause-after", "1s", "--stop-after", "1s")
	h.state("web", "STOPPED", time.Minute)
	kernel, image := one(t, own, "kernel", "[0-9]*", "vmlinuz"), one(t, own, "images", "*", "root.*")
	before := h.trace()
	for _, c := range []struct {
		name, file string
		spoil      func(path string)
		why        string // of a connection
		line       string // of a start, which tried a set-up
	}{
		{"kernel cut short", kernel, func(path string) { cut(t, path, 1<<20) }, "it has 1048576 bytes instead of", noApt},
		{"kernel missing", kernel, func(path string) { os.Remove(path) }, "it is missing", noApt},
		{"kernels missing", filepath.Dir(kernel), func(path string) { os.RemoveAll(path) }, "there is none for", noApt},
		{"image cut short", image, func(path string) { cut(t, path, 1<<20) }, "has 1048576 bytes where", noMmdebstrap},
		{"image missing", filepath.Dir(image), func(path string) { os.RemoveAll(path) }, "the default image for", noMmdebstrap},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := h.in(t)
			kept := filepath.Join(t.TempDir(), "kept")
			if err := os.CopyFS(kept, os.DirFS(filepath.Dir(c.file))); err != nil {
				t.Fatal(err)
			}
			c.spoil(c.file)
			in.refuses(refusal{"", 125, c.line, "aegis doctor", words("run -- true")})
			in.refuses(refusal{"", 1, c.line, "aegis doctor", words("instance start --name web")})
			in.refuses(refusal{"", 1, c.line, "aegis doctor", words("setup")})
			if code, body, _ := in.get(url); code != http.StatusServiceUnavailable || !strings.Contains(body, c.why) {
				t.Errorf("a connection: %d %q, want 503 with %q", code, body, c.why)
			}
			if status := in.ok("status"); !strings.Contains(status, c.why) {
				t.Errorf("status does not say %q:\n%s", c.why, status)
			}
			in.settles(before)
			os.RemoveAll(filepath.Dir(c.file))
			if err := os.CopyFS(filepath.Dir(c.file), os.DirFS(kept)); err != nil {
				t.Fatal(err)
			}
		})
	}
	h.page(url, "page of web\n")
}

// TestAlteredAssets boots what has the right size and nothing else of a kernel or an
// image: the boot fails at once, with the guest's own words where it has any.
func TestAlteredAssets(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	own := h.ownCache()
	h.onPath(monitor(t), "mkfs.ext4")
	h.ok("up")
	before := h.trace()
	for name, file := range map[string]string{"kernel": one(t, own, "kernel", "[0-9]*", "vmlinuz"), "image": one(t, own, "images", "*", "root.*")} {
		t.Run(name, func(t *testing.T) {
			in := h.in(t)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			kept := file + ".kept"
			if err := os.Rename(file, kept); err != nil {
				t.Fatal(err)
			}
			cutTo := func() error { return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, info.Size())) }
			if err := cutTo(); err != nil {
				t.Fatal(err)
			}
			in.refuses(refusal{"", 1, `start instance "bad": *`, "aegis doctor", words("instance start --name bad -- true")})
			in.settles(before)
			if err := os.Rename(kept, file); err != nil {
				t.Fatal(err)
			}
		})
	}
	h.ok(words("run -- true")...)
}

// TestOtherVersion is a client that meets the daemon of another version: it is told
// so, and how to change it; down works.
func TestOtherVersion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ownCache() // another harness means another initramfs
	h.ok("up")
	later := h.another()
	line := `speak to the daemon: the daemon is version * and this client is version "another"`
	later.refuses(refusal{"", 1, line, "aegis down && aegis up", words("ps")})
	later.refuses(refusal{"", 125, line, "aegis down && aegis up", words("run -- true")})
	later.ok("up") // it is up, and says which
	later.ok("down")
	later.ok("up")
	h.refuses(refusal{"", 1, `speak to the daemon: the daemon is version another and this client is version "*"`, "aegis down && aegis up", words("ps")})
}

// TestLongPath is a home too long for sockets: without XDG_RUNTIME_DIR it is refused,
// with it all works and status says where they are.
func TestLongPath(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.move(filepath.Join(h.dir, strings.Repeat("long", 30)))
	h.set("XDG_RUNTIME_DIR", "")
	h.refuses(refusal{"", 1, `find a place for the sockets of Aegis: ` + h.dir + ` has ` + fmt.Sprint(len(h.dir)) +
		` bytes, a socket below it would pass the limit of 103, and XDG_RUNTIME_DIR offers no shorter place`, `export AEGIS_HOME="$HOME/.aegis"`, words("status")})
	if entries, _ := os.ReadDir(h.dir); len(entries) != 1 {
		t.Errorf("besides config.toml there is: %v", entries)
	}
	runtime, err := os.MkdirTemp("", "xdg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	h.set("XDG_RUNTIME_DIR", runtime)
	if status := h.ok("status"); !strings.Contains(status, "too long for sockets: they are in "+runtime) {
		t.Errorf("status:\n%s", status)
	}
	if got := h.ok(words("run -- echo fits")...); got != "fits\n" {
		t.Errorf("%q", got)
	}
	h.eventually(10*time.Second, "nothing is left of the run", func() error { // its VM goes behind the answer
		if left, _ := filepath.Glob(filepath.Join(runtime, "*", "run", "*")); len(left) != 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	h.ok("down") // before XDG_RUNTIME_DIR goes
}

// TestFullDisk runs in homes on small disks of their own. Nothing is cut short, and
// all works again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	disk := h.tmpfs("600M")
	h.move(filepath.Join(disk, "home"))
	fill := filepath.Join(disk, "fill")

	room(t, fill, 0)
	h.refuses(refusal{"", 1, `open registry "*": the disk of ` + h.dir + ` is full`, "df -h " + h.dir, words("instance start -- true")})
	os.Remove(fill)
	url := h.serve("web", "--pause-after", "never")
	h.ok(words("secret set OLD --from-file web/index.html")...)
	before := h.trace()

	room(t, fill, 100<<20)
	line := `create an instance: the disk that holds ` + h.dir + ` has * MiB left and a start needs 256 MiB`
	h.refuses(refusal{"", 125, line, "df -h " + h.dir, words("run -- true")})
	if r := h.run("", "doctor"); r.code != 1 || !strings.Contains(r.stdout, "fail  disk: ") {
		t.Errorf("doctor: %d\n%s", r.code, r.stdout)
	}
	h.settles(before)

	room(t, fill, 0)
	h.refuses(refusal{"", 1, `set secret "NEW": *no space left on device`, "df -h " + h.dir, words("secret set NEW --from-file web/index.html")})
	h.page(url, "page of web\n") // what runs goes on, and is told when it writes
	if r := h.run("", "exec", "web", "--", "sh", "-c", "dd if=/dev/urandom of=/root/much bs=1M count=8 conv=fsync"); r.code == 0 {
		t.Error("a guest wrote 8 MiB to a disk that is full")
	}
	h.ok(words("instance delete --force web")...) // which makes room
	os.Remove(fill)
	h.page(h.serve("web"), "page of web\n")
	if got := h.ok("secret", "list", "-q"); got != "OLD\n" {
		t.Errorf("secrets: %q", got)
	}
}

// tmpfs mounts a small disk below the test's own directory until the home is closed.
func (h *home) tmpfs(size string) string {
	h.t.Helper()
	dir := filepath.Join(filepath.Dir(h.cwd), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		h.t.Skipf("pending: a small disk can't be mounted: %v", err)
	}
	h.last.Add(func() { syscall.Unmount(dir, 0) })
	return dir
}

// room fills the disk until so many bytes are left.
func room(t *testing.T, fill string, left int64) {
	t.Helper()
	os.Remove(fill)
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size() - left)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWrongConfig is a config.toml with a key that does not exist, and a variable with a
// value that can't be: both are named.
func TestWrongConfig(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.config(`pause-after = "10s"`, `frontdoor = "x"`)
	file := filepath.Join(h.dir, "config.toml")
	line := `read configuration: ` + file + `:2: unknown key "frontdoor"`
	h.refuses(refusal{"", 1, line, "${EDITOR:-vi} " + file, words("up")})
	h.refuses(refusal{"", 125, line, "${EDITOR:-vi} " + file, words("run -- true")})
	if r := h.run("", "doctor"); r.code != 1 || !strings.Contains(r.stdout, file+`:2: unknown key "frontdoor"`) {
		t.Errorf("doctor: %d\n%s", r.code, r.stdout)
	}
	h.config()
	h.set("AEGIS_DISK", "lots")
	h.refuses(refusal{"", 1, `read configuration: AEGIS_DISK: "lots" is not a size *`, "unset AEGIS_DISK", words("status")})
	h.set("AEGIS_DISK", "")
	if left := h.processes(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestFrontDoorTaken is a warning of status and no failure.
func TestFrontDoorTaken(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h.config(`front-door = "` + taken.Addr().String() + `"`)
	h.ok("up")
	want := fmt.Sprintf("the front door is closed: it is held by e2e.test (pid %d)", os.Getpid())
	if status := h.ok("status"); !strings.Contains(status, want) {
		t.Errorf("status does not say %q:\n%s", want, status)
	}
}

// TestUnreadableWorkspace needs an ordinary user: root can read everything.
func TestUnreadableWorkspace(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := filepath.Join(h.cwd, "locked")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	r := refusal{"", 1, `use workspace "./locked": permission denied`, "ls -ld " + dir, words("instance start --workspace ./locked")}
	if os.Getuid() != 0 {
		h.refuses(r)
		return
	}
	const nobody = 65534
	for _, path := range []string{filepath.Dir(h.cwd), h.cwd} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(h.cwd, "aegis") // the built one may be below a directory of root's
	if err := errors.Join(copyFile(filepath.Join(bin, "aegis"), program), os.Chmod(program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, r.args...)
	cmd.Dir, cmd.Env = h.cwd, append(h.env, "AEGIS_HOME="+filepath.Join(h.cwd, "home-of-nobody"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("pending: this root can't become another user")
	}
	want := "aegis: " + r.line + "\nhint: " + r.hint + "\n"
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != r.code || string(out) != want {
		t.Errorf("%v\n%s\nwant:\n%s", err, out, want)
	}
}
