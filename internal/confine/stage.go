//go:build linux

package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
)

// firstFile is the number of the first of a command's ExtraFiles (os/exec).
const firstFile = 3

// fileName is how a command line names a descriptor of the program's own.
var fileName = regexp.MustCompile(`/proc/self/fd/(\d+)`)

// orders are what the stage is told, as its one argument before the program's.
type orders struct {
	Stay
	Mounts map[int]int `json:"mounts"` // a descriptor, and that of its mount, where the shim made one
	Dir    int         `json:"dir"`    // the descriptor of the directory that Serves is about
	Owner  int         `json:"owner"`  // a descriptor of the process whose end ends the program (pidfd_open(2))
}

// Stage makes a command that was not started, which opens files as /proc/self/fd/N,
// begin in this program (Main), which confines itself, takes what is to stay along, and
// goes on as the command's. What was opened for reading can be opened anew for that
// only. The program ends with this process. The caller runs the returned function when the
// command was started, or was not.
func Stage(cmd *exec.Cmd, s Stay) (func(), error) {
	if !s.Rung.On() {
		return func() {}, nil
	}
	var u undo.Stack
	defer u.Run()
	o := orders{Stay: s, Mounts: map[int]int{}}
	if err := o.take(cmd, &u); err != nil {
		return nil, fmt.Errorf("confine %q: %w", cmd.Path, err)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := Self()
	if err != nil {
		return nil, err
	}
	cmd.Args = append([]string{"aegis-shim", stageWord, string(body), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	Prepare(cmd, s.Rung, Caller())
	trees := u
	u = undo.Stack{}
	return trees.Run, nil
}

// take adds to the command's files this process, the directory that stays, and the mounts
// that the command's process may not make where this one is root.
func (o *orders) take(cmd *exec.Cmd, u *undo.Stack) error {
	pass := func(f *os.File) int {
		u.Add(func() { f.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return firstFile + len(cmd.ExtraFiles) - 1
	}
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("open this process: %w", err)
	}
	o.Owner = pass(os.NewFile(uintptr(self), "owner"))
	makes := o.Rung.Namespaces() && Root()
	if o.Serves {
		dir, err := os.Open(cmd.Dir)
		if err != nil {
			return err
		}
		o.Dir = pass(dir)
		if makes {
			tree, err := detachOpen(int(dir.Fd()), attributes(false, false))
			if err != nil {
				return err
			}
			o.Mounts[o.Dir] = pass(tree)
		}
	}
	if !makes {
		return nil
	}
	for _, n := range o.opened(cmd.Args) {
		if n-firstFile < 0 || n-firstFile >= len(cmd.ExtraFiles) {
			return fmt.Errorf("it has no descriptor %d", n)
		}
		fd := int(cmd.ExtraFiles[n-firstFile].Fd())
		tree, err := detachOpen(fd, attributes(!o.writes(n, fd), false))
		if err != nil {
			return err
		}
		o.Mounts[n] = pass(tree)
	}
	return nil
}

// opened are the descriptors that are opened anew, each once.
func (o *orders) opened(args []string) []int {
	var out []int
	for _, arg := range args {
		for _, m := range fileName.FindAllStringSubmatch(arg, -1) {
			if n, err := strconv.Atoi(m[1]); err == nil {
				out = append(out, n)
			}
		}
	}
	out = append(out, o.Files...)
	slices.Sort(out)
	return slices.Compact(out)
}

// writes is whether the named descriptor may be opened for writing; fd is what it is here.
func (o orders) writes(named, fd int) bool {
	if slices.Contains(o.Writes, named) {
		return true
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}

// stageMain confines this thread and goes on as the program that it is told.
func stageMain(args []string) error {
	runtime.LockOSThread()
	if len(args) < 2 {
		return errors.New("the stage needs orders and a program")
	}
	var o orders
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return fmt.Errorf("read the stage's orders: %w", err)
	}
	program := args[1:]
	if err := bound(o.Owner); err != nil {
		return err
	}
	if err := o.confine(program); err != nil {
		return fmt.Errorf("confine %q (%s): %w", program[0], o.Rung, err)
	}
	return fmt.Errorf("start %q: %w", program[0], syscall.Exec(program[0], program, []string{}))
}

// bound has the program end with its owner. The signal that the command has for that
// is the first thread's of this process, and may not be this one's, which goes on as the
// program (prctl(2), PR_SET_PDEATHSIG); and an owner that ended before it was set sends none.
func bound(owner int) error {
	unix.CloseOnExec(owner)
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for a signal when the owner ends: %w", err)
	}
	ended := []unix.PollFd{{Fd: int32(owner), Events: unix.POLLIN}} // readable once it has
	for {
		switch n, err := unix.Poll(ended, 0); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("look after the owner: %w", err)
		case n > 0:
			return errors.New("the owner has ended")
		default:
			return nil
		}
	}
}

func (o orders) confine(program []string) error {
	if err := limit(o.Rung); err != nil {
		return err
	}
	numbers := o.opened(program)
	if o.Rung.Namespaces() {
		if err := o.pivot(numbers); err != nil {
			return err
		}
	}
	unbound()
	if err := drop(here); err != nil {
		return err
	}
	if o.Rung.Landlock() {
		if err := o.landlock(numbers); err != nil {
			return err
		}
	}
	if o.Serves {
		unix.CloseOnExec(o.Dir) // by ".." it leads to all that is beside it
	}
	return monitor(o.Rung, o.Serves).install(false)
}

// Where the new root has the descriptors, under the names that they have without one,
// and the directory.
const (
	filesDir = "proc/self/fd"
	ownDir   = "own"
)

// pivot enters a root that holds what stays and nothing else.
func (o orders) pivot(numbers []int) error {
	mounts, err := o.mounts(numbers)
	if err != nil {
		return err
	}
	if err := enterRoot(mounts); err != nil {
		return err
	}
	for _, m := range mounts {
		m.tree.Close()
	}
	if !o.Serves {
		return nil
	}
	if err := unix.Chdir("/" + ownDir); err != nil {
		return fmt.Errorf("enter its directory: %w", err)
	}
	return nil
}

// mounts are the needs, the descriptors and the directory.
func (o orders) mounts(numbers []int) ([]mount, error) {
	var out []mount
	for _, need := range o.Needs {
		tree, err := detach(need.Path, need.attributes())
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, mount{tree, strings.TrimPrefix(need.Path, "/")})
	}
	for _, n := range numbers {
		tree, err := o.mount(n, !o.writes(n, n))
		if err != nil {
			return nil, err
		}
		out = append(out, mount{tree, fmt.Sprintf("%s/%d", filesDir, n)})
	}
	if o.Serves {
		tree, err := o.mount(o.Dir, false)
		if err != nil {
			return nil, err
		}
		out = append(out, mount{tree, ownDir})
	}
	return out, nil
}

// mount is that of a descriptor, which the shim made or this process can make.
func (o orders) mount(n int, readOnly bool) (*os.File, error) {
	if made := o.Mounts[n]; made != 0 {
		return os.NewFile(uintptr(made), "mount"), nil
	}
	return detachOpen(n, attributes(readOnly, false))
}

// landlock grants the needs, the descriptors, as they were opened, and the directory.
func (o orders) landlock(numbers []int) error {
	var grants []grant
	for _, need := range o.Needs {
		fd, err := unix.Open(need.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open %q: %w", need.Path, err)
		}
		defer unix.Close(fd)
		grants = append(grants, grant{fd, need.access()})
	}
	for _, n := range numbers {
		access := uint64(unix.LANDLOCK_ACCESS_FS_READ_FILE)
		if o.writes(n, n) {
			access |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
		}
		grants = append(grants, grant{n, access})
	}
	if o.Serves {
		grants = append(grants, grant{o.Dir, serves})
	}
	return landlock(grants, oneThread)
}

func (n Need) attributes() uint64 {
	attr := attributes(n.Kind != Device, n.Kind == Run || n.Kind == Libraries)
	if n.Kind == Device {
		attr &^= unix.MOUNT_ATTR_NODEV
	}
	return attr
}

func (n Need) access() uint64 {
	switch n.Kind {
	case Run:
		return unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	case Device:
		return unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return readFiles
}
