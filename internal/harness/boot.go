//go:build linux

package harness

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootWait bounds how long a device may take to appear after its driver was loaded.
const bootWait = 20 * time.Second

// mount is one row of a table of mounts. A row that is optional may fail, on a
// kernel without that file system.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
	optional               bool
}

const restricted = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// bootMounts are what the harness itself needs, in the initramfs or whatever else the
// monitor has it begin in.
var bootMounts = []mount{
	{"proc", "/proc", "proc", restricted, "", false},
	{"sysfs", "/sys", "sysfs", restricted, "", false},
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755", false},
	{"aegis", "/aegis", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755", false}, // some roots can't be written
}

// fixtures are the mounts of the instance's root that need no disk.
var fixtures = []mount{
	{"proc", "/proc", "proc", restricted, "", false},
	{"sysfs", "/sys", "sysfs", restricted, "", false},
	{"cgroup2", cgroupRoot, "cgroup2", restricted, "nsdelegate", false},
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755", false},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,ptmxmode=0666,gid=5", false},
	{"shm", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777", false},
	{"mqueue", "/dev/mqueue", "mqueue", restricted, "", true},
	{"tmp", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777", false},
	{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755", false},
}

// movable are the fixtures that no other one lies below.
var movable = []string{"/proc", "/sys", "/dev", "/tmp", "/run"}

// devLinks are what programs expect in /dev beyond the kernel's nodes.
var devLinks = map[string]string{
	"/dev/fd":     "/proc/self/fd",
	"/dev/stdin":  "/proc/self/fd/0",
	"/dev/stdout": "/proc/self/fd/1",
	"/dev/stderr": "/proc/self/fd/2",
}

// mountAll makes the targets and mounts a table, in order.
func mountAll(table []mount) error {
	for _, m := range table {
		err := os.MkdirAll(m.target, 0o755)
		if err == nil {
			err = unix.Mount(m.source, m.target, m.fstype, m.flags, m.data)
		}
		if err != nil && !m.optional && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s at %q: %w", m.fstype, m.target, err)
		}
	}
	return nil
}

// prepare brings the initramfs to where devices can be found.
func prepare() error {
	if err := mountAll(bootMounts); err != nil {
		return err
	}
	openConsole()
	limitFiles()
	if err := calmRuntime(); err != nil {
		say("calm the runtime: %v", err)
	}
	return loadModules("/modules", "order")
}

// openConsole makes /dev/console the standard descriptors: the kernel opened it
// for us only if the initramfs had the node.
func openConsole() {
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for std := 0; std <= 2; std++ {
		unix.Dup3(fd, std, 0)
	}
	if fd > 2 {
		unix.Close(fd)
	}
}

// limitFiles gives processes docker's bounds on open files instead of a kernel's
// first process's.
func limitFiles() {
	files := unix.Rlimit{Cur: 1 << 16, Max: 1 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		say("raise the limit of open files: %v", err)
	}
}

// loadModules loads the kernel modules of dir that a file there names, one file a line, in
// that order. Without the file there is nothing to load.
func loadModules(dir, file string) error {
	order, err := os.Open(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load modules: %w", err)
	}
	defer order.Close()
	lines := bufio.NewScanner(order)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" {
			continue
		}
		if err := loadModule(filepath.Join(dir, filepath.Base(name))); err != nil {
			return err
		}
	}
	return lines.Err()
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load module: %w", err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %q: %w", filepath.Base(path), err)
	}
	return nil
}
