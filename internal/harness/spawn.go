//go:build linux

package harness

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/undo"
	"aegis/internal/wire"
)

// child is a started process and the harness's ends of its streams.
type child struct {
	pid    int
	exit   <-chan unix.WaitStatus
	group  *cgroup
	stdin  *os.File // the terminal, with a TTY; nil without input
	stdout *os.File // the same terminal, with a TTY
	stderr *os.File // nil with a TTY
}

// spawner starts processes; its fields are what they have in common.
type spawner struct {
	reaper   *reaper
	cgroups  *cgroups
	accounts accounts
}

// settings is what the instance adds to a process.
type settings struct {
	hostname string
	env      map[string]string
	dir      string // where a process starts that names no directory
	user     string // the main process's, and of one that names none
}

// spawn starts p: its user, directory and program must be there.
func (s *spawner) spawn(p wire.Process, with settings) (*child, error) {
	if err := checkProcess(p); err != nil {
		return nil, err
	}
	who, err := s.accounts.find(cmp.Or(p.User, with.user), "/etc/passwd", "/etc/group")
	if err != nil {
		return nil, err
	}
	dir, err := directory(p, with.dir)
	if err != nil {
		return nil, err
	}
	env := environment(with.env, p.Env, who.home, with.hostname, p.TTY)

	var u undo.Stack
	defer u.Run()
	c := &child{}
	if c.group, err = s.cgroups.take(); err != nil {
		return nil, fmt.Errorf("make a group for process %q: %w", p.ID, err)
	}
	u.Add(c.group.release)
	theirs, err := c.open(p)
	if err != nil {
		return nil, fmt.Errorf("open streams for process %q: %w", p.ID, err)
	}
	u.Add(c.close)
	defer closeAll(theirs)

	attr := &syscall.ProcAttr{Dir: dir, Env: pairs(env), Files: theirs, Sys: attributes(p, who, c.group)}
	c.pid, c.exit, err = s.reaper.start(func() (int, error) {
		return execute(p.Args, candidates(p.Args[0], env["PATH"], dir), func(file string, args []string) (int, error) {
			return syscall.ForkExec(file, args, attr)
		})
	})
	if err != nil {
		return nil, err
	}
	u.Keep()
	return c, nil
}

// checkProcess refuses what execve would misread.
func checkProcess(p wire.Process) error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return fault.New(fault.Invalid, "", "", "the command is empty")
	}
	if p.ID == "" || len(p.ID) > 64 || strings.Trim(p.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fault.New(fault.Invalid, "", "", "process ID %.80q can't be used", p.ID)
	}
	for k := range p.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fault.New(fault.Invalid, "", "", "an environment variable can't be named %.80q", k)
		}
	}
	return nil
}

// directory is where p starts. The main process's is made if it is missing, as
// docker makes WORKDIR.
func directory(p wire.Process, base string) (string, error) {
	dir := p.Dir
	if dir == "" {
		dir = base
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", base, dir)
	}
	if p.ID == wire.MainID {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fault.New(fault.Invalid, dir, "", "working directory %q can't be made: %w", dir, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fault.New(fault.Invalid, dir, "", "working directory %q is not in the instance", dir)
	}
	return dir, nil
}

func attributes(p wire.Process, who account, group *cgroup) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Setctty: p.TTY}
	if who.uid != 0 || who.gid != 0 || len(who.groups) > 0 { // else it is who PID 1 is
		attr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}
	}
	if group != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, group.fd
	}
	return attr
}

// open makes the process's streams and returns its ends of them.
func (c *child) open(p wire.Process) (theirs []uintptr, err error) {
	if p.TTY {
		return c.openTTY(p)
	}
	var u undo.Stack
	defer u.Run()
	for fd, ours := range []**os.File{&c.stdin, &c.stdout, &c.stderr} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return nil, err
		}
		mine, its := ends[0], ends[1]
		if fd == 0 {
			mine, its = its, mine
		}
		u.Add(func() { unix.Close(its) })
		theirs = append(theirs, uintptr(its))
		if fd == 0 && p.NoStdin { // a pipe that has ended, and not /dev/null, which the instance may have made another
			unix.Close(mine)
			continue
		}
		unix.FcntlInt(uintptr(mine), unix.F_SETFL, unix.O_NONBLOCK) // our end waits in the poller; the process's blocks
		file := os.NewFile(uintptr(mine), "pipe")
		*ours = file
		u.Add(func() { file.Close() })
	}
	u.Keep()
	return theirs, nil
}

func (c *child) openTTY(p wire.Process) ([]uintptr, error) {
	terminal, its, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer its.Close()
	if p.Rows > 0 && p.Cols > 0 {
		resize(terminal, p.Rows, p.Cols)
	}
	var theirs []uintptr
	for range 3 {
		fd, err := unix.FcntlInt(its.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(theirs)
			terminal.Close()
			return nil, err
		}
		theirs = append(theirs, uintptr(fd))
	}
	c.stdin, c.stdout = terminal, terminal
	return theirs, nil
}

func closeAll(fds []uintptr) {
	for _, fd := range fds {
		unix.Close(int(fd))
	}
}

// close closes the harness's ends. It may be called twice.
func (c *child) close() {
	c.stdin.Close()
	c.stdout.Close()
	if c.stderr != nil {
		c.stderr.Close()
	}
}
