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
	Rung   Rung        `json:"rung"`
	Needs  []Need      `json:"needs"`
	Writes []int       `json:"writes"` // named descriptors that are opened anew for writing
	Mounts map[int]int `json:"mounts"` // a named descriptor, and that of its mount, where the shim made one
}

// Stage makes a command that was not started, which names what it opens as
// /proc/self/fd/N, begin in this program (Main), which confines itself, takes the needs
// and those descriptors along, and goes on as the command's. What was opened for reading
// can be opened anew for that only, but for writes. The caller runs the returned
// function when the command was started, or was not.
func Stage(cmd *exec.Cmd, rung Rung, needs []Need, writes []int) (func(), error) {
	if !rung.On() {
		return func() {}, nil
	}
	var u undo.Stack
	defer u.Run()
	o := orders{Rung: rung, Needs: needs, Writes: writes, Mounts: map[int]int{}}
	if rung.Namespaces() && Root() {
		for _, n := range named(cmd.Args) {
			if n-firstFile < 0 || n-firstFile >= len(cmd.ExtraFiles) {
				return nil, fmt.Errorf("confine %q: it has no descriptor %d", cmd.Path, n)
			}
			fd := int(cmd.ExtraFiles[n-firstFile].Fd())
			tree, err := detachOpen(fd, attributes(!o.writes(n, fd), false))
			if err != nil {
				return nil, fmt.Errorf("confine %q: %w", cmd.Path, err)
			}
			u.Add(func() { tree.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, tree)
			o.Mounts[n] = firstFile + len(cmd.ExtraFiles) - 1
		}
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
	Prepare(cmd, rung, Caller())
	trees := u
	u = undo.Stack{}
	return trees.Run, nil
}

// named are the descriptors that a command line names, each once.
func named(args []string) []int {
	seen := map[int]bool{}
	var out []int
	for _, arg := range args {
		for _, m := range fileName.FindAllStringSubmatch(arg, -1) {
			if n, err := strconv.Atoi(m[1]); err == nil && !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
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
	if err := o.confine(&program); err != nil {
		return fmt.Errorf("confine %q (%s): %w", program[0], o.Rung, err)
	}
	return fmt.Errorf("start %q: %w", program[0], syscall.Exec(program[0], program, []string{}))
}

func (o orders) confine(program *[]string) error {
	if err := limit(o.Rung); err != nil {
		return err
	}
	numbers := named(*program)
	if o.Rung.Namespaces() {
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
		for i, arg := range *program {
			(*program)[i] = fileName.ReplaceAllString(arg, "/"+filesDir+"/$1")
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
	return monitor(o.Rung).install(false)
}

// filesDir is where the new root has the named descriptors.
const filesDir = "fd"

// mounts are the needs, and the named descriptors.
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
		tree := os.NewFile(uintptr(o.Mounts[n]), "mount")
		if o.Mounts[n] == 0 {
			var err error
			if tree, err = detachOpen(n, attributes(!o.writes(n, n), false)); err != nil {
				return nil, err
			}
		}
		out = append(out, mount{tree, fmt.Sprintf("%s/%d", filesDir, n)})
	}
	return out, nil
}

// landlock grants the needs, and the named descriptors, as they were opened.
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
	return landlock(grants, false)
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
