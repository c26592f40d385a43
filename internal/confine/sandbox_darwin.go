package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Rungs are those of this system, the best first.
var Rungs = []Rung{Sandbox, Off}

// errLinux refuses what is made of Linux's calls.
var errLinux = errors.New("it is for Linux only")

// sandboxExec is the program that holds another to a profile (sandbox-exec(1)).
const sandboxExec = "/usr/bin/sandbox-exec"

// Self is this program.
func Self() (string, error) { return os.Executable() }

// Identity is a user of the host.
type Identity struct{ UID, GID int }

// Nobody owns no files.
var Nobody = Identity{65534, 65534}

// Calls names what a helper does.
type Calls string

// The kinds of helpers.
const (
	Files  Calls = "files"
	Frames Calls = "frames"
	Open   Calls = "open"
)

// Room is what a helper keeps.
type Room struct {
	Calls    Calls
	Dir      *os.File
	ReadOnly bool
	Detached bool
}

// Kept is the way to what is left.
type Kept struct{ Dir, Proc *os.File }

// Owner is who owns a file: there is nothing to map it to here.
func Owner(*os.File) (Identity, error) { return Caller(), nil }

// Root is whether this process may give a child another user.
func Root() bool { return os.Geteuid() == 0 }

// Caller is the user of this process.
func Caller() Identity { return Identity{os.Geteuid(), os.Getegid()} }

// Prepare has a command that was not started held to a profile from its first line: it
// is this program, sees no file but that, and makes no connection. A child of root is who.
func Prepare(cmd *exec.Cmd, rung Rung, who Identity) {
	if !rung.On() {
		return
	}
	wrap(cmd, profile{program: cmd.Path})
	if Root() {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(who.UID), Gid: uint32(who.GID)}
	}
}

// wrap puts sandbox-exec before a command. The name that the command gives itself is lost.
func wrap(cmd *exec.Cmd, p profile) {
	cmd.Args = append([]string{"sandbox-exec", "-p", p.text(), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = sandboxExec
}

// Detach fails.
func Detach(*os.File, bool) (*os.File, error) { return nil, errLinux }

// Enter holds that Prepare's profile is in force: what every process may read, this one
// may not. It can't be entered from within.
func Enter(rung Rung, room Room) (Kept, error) {
	if !rung.On() {
		return Kept{Dir: room.Dir}, nil
	}
	if err := NoCores(); err != nil {
		return Kept{}, err
	}
	if err := held(); err != nil {
		return Kept{}, err
	}
	return Kept{Dir: room.Dir}, nil
}

// held is nil in a process that a profile of this package holds.
func held() error {
	f, err := os.Open("/private/etc/passwd")
	if err == nil {
		f.Close()
		return errors.New("a file of the host can be read")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		return errors.New("a port of the host can be taken")
	}
	return nil
}

// NoCores keeps this process, and all that it starts, from leaving core files.
func NoCores() error { return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }

// Private keeps other processes of the same user from this one's memory (ptrace(2),
// PT_DENY_ATTACH), and from leaving it in a core file.
func Private() error {
	if err := NoCores(); err != nil {
		return err
	}
	if err := unix.PtraceDenyAttach(); err != nil {
		return fmt.Errorf("make this process private: %w", err)
	}
	return nil
}

// Seal is Private: a profile can't be entered from within, and from outside it would keep
// the shim from starting what it has to.
func Seal(Rung, Reach) error { return Private() }

// Stage has a monitor that was not started held to a profile: its needs, and the files
// that its command line names.
func Stage(cmd *exec.Cmd, s Stay) (func(), error) {
	if s.Rung.On() {
		wrap(cmd, profileOf(cmd.Path, s, cmd.Dir, s.Named))
	}
	return func() {}, nil
}

// attempt starts the self-test of a rung: a child that is held as a helper is, and then
// tries what it must not.
func attempt(rung Rung, _ string) *failure {
	self, err := Self()
	if err != nil {
		return &failure{stepSandbox, syscall.ENOENT}
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	cmd := exec.Command(self, tryWord)
	cmd.Env = []string{}
	Prepare(cmd, rung, Caller())
	out, err := cmd.Output()
	var said failure
	switch {
	case err == nil:
		return nil
	case json.Unmarshal(out, &said) == nil:
		return &said
	}
	return &failure{stepSandbox, syscall.ENOSYS}
}

// tryMain is the child.
func tryMain(_ []string, out io.Writer) error {
	if err := held(); err != nil {
		json.NewEncoder(out).Encode(failure{stepCheck, syscall.EPERM})
		return err
	}
	return nil
}

func stageMain([]string) error { return errLinux }
