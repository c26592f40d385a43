//go:build linux

package confine

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Self is this program, for a command that Prepare confines: its name may be where the
// child's user can't go.
func Self() (string, error) { return "/proc/self/exe", nil }

// Identity is a user of the host, for a child of root.
type Identity struct{ UID, GID int }

// Nobody owns no files (the kernel's overflow ID).
var Nobody = Identity{65534, 65534}

// Owner is who owns a file.
func Owner(f *os.File) (Identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Identity{}, fmt.Errorf("stat %q: %w", f.Name(), err)
	}
	return Identity{int(st.Uid), int(st.Gid)}, nil
}

// Root is whether this process may make mounts and give a child another user. User 0
// of a container often may not, and is then as any other user.
func Root() bool {
	if os.Geteuid() != 0 {
		return false
	}
	header, data := capHeader, noCaps
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return data[0].Effective&needed == needed
}

// Caller is the user of this process.
func Caller() Identity { return Identity{os.Geteuid(), os.Getegid()} }

// Prepare makes a command that was not started begin in the rung's namespaces, as root
// there and without any other user. A child of root is who on the host; any other
// user's stays that user, with its groups, which it can't drop. The child's program
// then calls Enter or Stage, as its first act. Other fields of cmd.SysProcAttr stay.
func Prepare(cmd *exec.Cmd, rung Rung, who Identity) {
	if !rung.On() {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr, root := cmd.SysProcAttr, Root()
	if !root {
		who = Caller()
	}
	switch {
	case rung.Namespaces():
		attr.Cloneflags |= spaceFlags
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: who.UID, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: who.GID, Size: 1}}
		attr.GidMappingsEnableSetgroups = root
		attr.Credential = &syscall.Credential{NoSetGroups: !root}
	case root:
		attr.Credential = &syscall.Credential{Uid: uint32(who.UID), Gid: uint32(who.GID)}
	}
}
