package image

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"aegis/internal/fault"
)

// grace is how long mmdebstrap may take to unmount and clean when it is told to end.
const grace = 20 * time.Second

// maxSaid bounds what is kept of mmdebstrap's messages for an error, in lines.
const maxSaid = 12

// debian builds the image with mmdebstrap(1): as root directly, else in a
// user namespace with the caller's subordinate IDs.
func (r recipe) debian(ctx context.Context, work string, step func(string, int64, int64)) error {
	mode, tmp, err := how(os.Getuid(), work)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", r.args(mode)...)
	cmd.Env = r.env(os.Getenv, tmp)
	cmd.Dir = "/"
	// It ends with us, which the kernel counts by thread: this one must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = apart(os.Getuid())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	last, converted, ended := run(cmd, filepath.Join(work, fileRoot), func(msg string) { step(msg, 0, 0) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isFull(converted):
		return converted
	case ended != nil:
		return fault.New(fault.AssetMissing, DefaultName, "make default image", "mmdebstrap failed (%w): %s", ended, strings.Join(last, "; "))
	}
	return converted
}

// apart is how a builder is started: in a group of its own, so that a terminal's Ctrl-C
// reaches it once, by Cancel. Where it is root, and mounts without a namespace that it
// makes itself, it has one, so that none of its mounts outlives it when it is killed.
func apart(uid int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if uid == 0 {
		attr.Unshareflags = syscall.CLONE_NEWNS
	}
	return attr
}

// run converts what a command prints into the file system at path. It returns the
// command's last messages, how the conversion and how the command ended.
func run(cmd *exec.Cmd, path string, say func(string)) (last []string, converted, ended error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	said := make(chan []string, 1)
	go func() { said <- follow(stderr, say) }()
	converted = convert(stdout, path)
	if converted != nil {
		stdout.Close() // the command ends by SIGPIPE
	}
	last = <-said
	return last, converted, cmd.Wait()
}

// follow passes mmdebstrap's information on and returns the last lines, the
// errors if there are any.
func follow(r io.Reader, say func(string)) []string {
	var last, errs []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if msg, ok := strings.CutPrefix(line, "I: "); ok {
			if msg, ok := strings.CutSuffix(msg, "..."); ok && !strings.Contains(msg, "tempdir") {
				say(msg) // what takes time ends in dots; the rest is about files
			}
			continue
		}
		if msg, ok := strings.CutPrefix(line, "E: "); ok {
			errs = append(errs, msg)
		}
		last = append(last, line)
		last = last[max(0, len(last)-maxSaid):]
		errs = errs[max(0, len(errs)-maxSaid):]
	}
	io.Copy(io.Discard, r) // a line too long to scan must not block the writer
	if len(errs) > 0 {
		return errs
	}
	return last
}

// how chooses mmdebstrap's mode and temporary directory, or says what is missing.
// Its tree is below work as root, so that the next sweep finds it; in a user
// namespace the mapped root can't pass our 0700 directories, so it is where
// temporary files are.
func how(uid int, work string) (mode, tmp string, err error) {
	need := []struct{ program, pack, why string }{{"mmdebstrap", "mmdebstrap", "it makes the default image"}}
	if uid != 0 {
		need = append(need, struct{ program, pack, why string }{"newuidmap", "uidmap", "it lets an ordinary user make the default image"})
	}
	for _, n := range need {
		if _, err := exec.LookPath(n.program); err != nil {
			return "", "", fault.New(fault.AssetMissing, DefaultName, "make default image",
				"%s is not installed: %s; run: sudo apt-get install %s", n.program, n.why, n.pack)
		}
	}
	if uid == 0 {
		return "root", work, nil
	}
	if err := subordinate("/etc/subuid", uid); err != nil {
		return "", "", err
	}
	return "unshare", os.TempDir(), nil
}
