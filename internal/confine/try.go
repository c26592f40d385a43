//go:build linux

package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// fdTry is the directory's descriptor in the self-test.
const fdTry = 3

// attempt starts the self-test of a rung: a child that confines itself as a helper
// does, and then tries what it must not. nil is that all was as it should be.
func attempt(rung Rung, dir string) *failure {
	if rung.Landlock() {
		if v, err := landlockVersion(); err != nil || v < leastLandlock {
			return failed(stepLandlock, errors.Join(err, unix.EOPNOTSUPP))
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		return failed(stepStart, err)
	}
	defer f.Close()
	who, err := Owner(f)
	if err != nil {
		return failed(stepStart, err)
	}
	detached := strconv.FormatBool(Root() && rung.Namespaces())
	if detached == "true" {
		tree, err := Detach(f, false)
		if err != nil {
			return failed(stepMount, err)
		}
		defer tree.Close()
		f = tree
	}
	self, err := Self()
	if err != nil {
		return failed(stepStart, err)
	}
	cmd := exec.Command(self, tryWord, string(rung), detached)
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{f}
	Prepare(cmd, rung, who)
	out, err := cmd.Output()
	var said *failure
	switch {
	case err == nil:
		return nil
	case len(out) == 0:
		return failed(stepStart, err)
	case json.Unmarshal(out, &said) != nil:
		return failed(stepCheck, err)
	}
	return said
}

// failed keeps the error number of err, or EINVAL.
func failed(step string, err error) *failure {
	errno := unix.EINVAL
	errors.As(err, &errno)
	return &failure{step, errno}
}

// tryMain is the child. On a failure it prints which, and ends with 1.
func tryMain(args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%s needs a rung, and whether it gets a mount", tryWord)
	}
	rung := Rung(args[0])
	f := try(rung, Room{Calls: Files, Dir: os.NewFile(fdTry, "directory"), Detached: args[1] == "true"})
	if f == nil {
		return nil
	}
	json.NewEncoder(out).Encode(f)
	return f.Errno
}

func try(rung Rung, room Room) *failure {
	kept, err := enter(rung, room, refuse(unix.EPERM))
	if err != nil {
		return failed(stepOf(err), err)
	}
	// What it must be able to do.
	fd, err := unix.Openat(int(kept.Proc.Fd()), strconv.Itoa(int(kept.Dir.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(stepCheck, err)
	}
	unix.Close(fd)
	// And what not.
	for _, attempt := range []func() error{
		func() error { _, err := unix.Open("/etc/passwd", unix.O_RDONLY|unix.O_CLOEXEC, 0); return err },
		func() error { _, err := unix.Open("/proc/1/status", unix.O_RDONLY|unix.O_CLOEXEC, 0); return err },
		func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
		func() error { return syscall.Exec("/bin/true", nil, nil) },
	} {
		if attempt() == nil {
			return &failure{stepCheck, unix.EEXIST}
		}
	}
	return nil
}

// step is an error with the step that it happened in.
type step struct {
	name string
	error
}

func (s step) Unwrap() error { return s.error }

// in notes the step of an error.
func in(name string, err error) error {
	if err == nil {
		return nil
	}
	return step{name, err}
}

func stepOf(err error) string {
	var s step
	if errors.As(err, &s) {
		return s.name
	}
	return stepSeccomp
}
