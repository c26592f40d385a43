package confine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Found is the best rung that works on this machine.
type Found struct {
	Rung  Rung   `json:"rung"`
	Cause string `json:"cause,omitempty"` // why it is not the full one
	Fix   string `json:"fix,omitempty"`   // the command that mends it, if one does
}

// failure is why a rung did not work: which call, with which error number.
type failure struct {
	Step  string        `json:"step"`
	Errno syscall.Errno `json:"errno"`
}

// askTimeout bounds the self-tests of all rungs; one takes 5 to 10 ms.
const askTimeout = 10 * time.Second

// The words with which a program's Main is started for this package: see Main.
const (
	LadderWord = "ladder"
	tryWord    = "try"
	stageWord  = "stage"
)

// Ask lets program, which passes such arguments to Main, find the best rung. dir is a
// directory that the user of this process can open.
func Ask(ctx context.Context, program, dir string) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, LadderWord, dir)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Found{}, fmt.Errorf("ask %q what this machine allows: %w", program, err)
	}
	var found Found
	if err := json.Unmarshal(out, &found); err != nil {
		return Found{}, fmt.Errorf("ask %q what this machine allows: %w", program, err)
	}
	return found, nil
}

// Main is the part of a program that serves this package: its self-test and the stage
// of a monitor. Without one of their words first it returns false, and has done nothing.
func Main(args []string) (status int, mine bool) {
	if len(args) == 0 {
		return 0, false
	}
	var err error
	switch args[0] {
	case LadderWord:
		err = ladderMain(args[1:], os.Stdout)
	case tryWord:
		err = tryMain(args[1:], os.Stdout)
	case stageWord:
		err = stageMain(args[1:])
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func ladderMain(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%s needs a directory", LadderWord)
	}
	return json.NewEncoder(out).Encode(climb(func(r Rung) *failure { return attempt(r, args[0]) }))
}

// climb takes the best rung that can be reached; the best one's failure is the cause.
func climb(attempt func(Rung) *failure) Found {
	var found Found
	for _, rung := range Rungs {
		if !rung.On() {
			break
		}
		f := attempt(rung)
		if f == nil {
			found.Rung = rung
			return found
		}
		if rung == Rungs[0] {
			found.Cause, found.Fix = f.explain()
		}
	}
	found.Rung = Off
	return found
}

// explain is what usually lies behind an error number, and what mends it.
func (f *failure) explain() (cause, fix string) {
	cause = fmt.Sprintf("%s: %s", f.Step, f.Errno)
	switch {
	case f.Step == stepSandbox:
		return cause + ": sandbox-exec did not hold a process", ""
	case f.Step == stepLandlock:
		return cause + ": the kernel has no Landlock, or it is not in its list of security modules",
			`sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&lsm=landlock,lockdown,yama,integrity,apparmor,bpf /' /etc/default/grub && sudo update-grub && sudo reboot`
	case f.Step == stepStart && f.Errno == syscall.ENOSPC:
		return cause + ": no more user namespaces are allowed", "sudo sysctl -w user.max_user_namespaces=15000"
	case f.Step == stepStart && (f.Errno == syscall.EPERM || f.Errno == syscall.EACCES):
		if _, err := os.Stat("/proc/sys/kernel/unprivileged_userns_clone"); err == nil {
			return cause + ": users may not make namespaces", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
		}
		return cause + ": a container's filter refuses namespaces", "run Aegis outside of the container, or start that with: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
	case f.Step == stepMount && (f.Errno == syscall.EPERM || f.Errno == syscall.EACCES):
		return cause + ": AppArmor, or a container, refuses mounts in a namespace", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return cause, ""
}

// Steps of a failure.
const (
	stepStart    = "start a process in new namespaces"
	stepMount    = "enter a root of its own"
	stepLandlock = "use Landlock"
	stepSeccomp  = "filter system calls"
	stepCheck    = "be held by it"
	stepSandbox  = "enter a sandbox"
)
