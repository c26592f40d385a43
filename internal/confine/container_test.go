//go:build linux

package confine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// containerWord starts a machine that does not allow everything, and in it a program.
const containerWord = "container" // WHAT[,WHAT] PROGRAM ARGS…

// lacks are the ways in which a machine allows less, by the calls that fail there.
var lacks = map[string][]rule{
	"": nil,
	"no-namespaces": {{unix.SYS_CLONE, []cond{{0, unix.CLONE_NEWUSER, unix.CLONE_NEWUSER}}, refuse(unix.EPERM)},
		{unix.SYS_CLONE3, nil, refuse(unix.ENOSYS)}, {unix.SYS_UNSHARE, nil, refuse(unix.EPERM)}},
	"too-many-namespaces": {{unix.SYS_CLONE, []cond{{0, unix.CLONE_NEWUSER, unix.CLONE_NEWUSER}}, refuse(unix.ENOSPC)}},
	"no-mounts": {{unix.SYS_MOVE_MOUNT, nil, refuse(unix.EACCES)}, {unix.SYS_OPEN_TREE, nil, refuse(unix.EACCES)},
		{unix.SYS_MOUNT, nil, refuse(unix.EACCES)}, {unix.SYS_MOUNT_SETATTR, nil, refuse(unix.EACCES)}},
	"no-landlock":  {{unix.SYS_LANDLOCK_CREATE_RULESET, nil, refuse(unix.EOPNOTSUPP)}},
	"old-landlock": {{unix.SYS_LANDLOCK_CREATE_RULESET, nil, refuse(unix.ENOSYS)}},
	"no-filters":   {{unix.SYS_SECCOMP, []cond{{0, 0xffffffff, unix.SECCOMP_SET_MODE_FILTER}}, refuse(unix.EPERM)}},
	"no-pivot":     {{unix.SYS_PIVOT_ROOT, nil, refuse(unix.EPERM)}},
}

// containerMain lets those calls fail, for good, and goes on as the program.
func containerMain(what string, program []string) error {
	f := filter{rest: unix.SECCOMP_RET_ALLOW}
	for name := range strings.SplitSeq(what, ",") {
		f.rules = append(f.rules, lacks[name]...)
	}
	if err := everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	if err := f.install(true); err != nil {
		return err
	}
	return syscall.Exec(program[0], program, []string{})
}

// TestLadderWhereLessIsAllowed asks on machines that refuse a part, as root and as an
// ordinary user, and holds which rung is found, and what mends it.
func TestLadderWhereLessIsAllowed(t *testing.T) {
	plain(t)
	program, dir := worldProgram(t), worldDir(t)
	reached(t, Full, dir)
	for _, uid := range users() {
		for _, c := range []struct {
			lacks      string
			want       Rung
			cause, fix string
		}{
			{"", Full, "", ""},
			{"no-landlock", NoLandlock, "Landlock", "lsm=landlock"},
			{"old-landlock", NoLandlock, "Landlock", "lsm=landlock"},
			{"no-namespaces", NoNamespaces, "namespaces", ""},
			{"too-many-namespaces", NoNamespaces, "no more user namespaces", "user.max_user_namespaces"},
			{"no-mounts", NoNamespaces, "AppArmor", "apparmor_restrict_unprivileged_userns"},
			{"no-pivot", NoNamespaces, "enter a root", ""},
			{"no-namespaces,no-landlock", Off, "Landlock", ""},
			{"no-filters", Off, "filter system calls", ""},
		} {
			t.Run(fmt.Sprintf("%d/%s", uid, c.lacks), func(t *testing.T) {
				cmd := exec.Command(program, containerWord, c.lacks, program, LadderWord, dir)
				cmd.Env, cmd.Dir, cmd.Stderr = []string{}, "/", os.Stderr
				if uid != os.Geteuid() {
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
				}
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				var found Found
				if err := json.Unmarshal(out, &found); err != nil {
					t.Fatal(err)
				}
				if found.Rung != c.want || !strings.Contains(found.Cause, c.cause) || !strings.Contains(found.Fix, c.fix) {
					t.Errorf("found %+v", found)
				}
				if found.Rung != Full && found.Cause == "" {
					t.Error("it does not say why")
				}
			})
		}
	}
}

// TestMatrixWhereLessIsAllowed holds that a rung which was found on such a machine works
// there, for each process.
func TestMatrixWhereLessIsAllowed(t *testing.T) {
	plain(t)
	open, program, dir := gaps(t), worldProgram(t), worldDir(t)
	uid := users()[len(users())-1]
	for lack, rung := range map[string]Rung{"no-landlock": NoLandlock, "no-namespaces": NoNamespaces} {
		for _, kind := range []string{kindVMM, kindFS, kindNet} {
			t.Run(kind+"/"+lack, func(t *testing.T) {
				reached(t, rung, dir)
				got := launch(t, program, uid, kind, rung, aimFor(t, uid), containerWord, lack, program)
				judge(t, got, open[kind+" "+string(rung)])
			})
		}
	}
}
