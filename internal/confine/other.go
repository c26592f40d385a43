//go:build !linux

package confine

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// errLinux refuses what is made of Linux's calls.
var errLinux = errors.New("confinement is for Linux only, yet")

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

// Prepare does nothing: Enter will refuse.
func Prepare(*exec.Cmd, Rung, Identity) {}

// Detach fails.
func Detach(*os.File, bool) (*os.File, error) { return nil, errLinux }

// Enter fails on every rung but Off.
func Enter(rung Rung, room Room) (Kept, error) {
	if rung.On() {
		return Kept{}, errLinux
	}
	return Kept{Dir: room.Dir}, nil
}

// NoCores keeps this process, and all that it starts, from leaving core files.
func NoCores() error { return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }

// Private is NoCores.
func Private() error { return NoCores() }

// Seal fails.
func Seal(Rung, Reach) error { return errLinux }

// Stage fails on every rung but Off.
func Stage(_ *exec.Cmd, s Stay) (func(), error) {
	if s.Rung.On() {
		return nil, errLinux
	}
	return func() {}, nil
}

func attempt(Rung, string) *failure { return &failure{stepStart, syscall.ENOSYS} }

func tryMain([]string, io.Writer) error { return errLinux }

func stageMain([]string) error { return errLinux }
