package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files of a group.
const (
	procs   = "cgroup.procs"
	control = "cgroup.subtree_control"
)

// kernel is the file system of groups; a test has another.
type kernel interface {
	exists(path string) bool
	writable(path string) bool
	read(path string) string // empty where it can't be
	write(path, text string) error
	mkdir(path string) error
	rmdir(path string) error
	list(path string) []string // the groups in one
	ours(pid string) bool      // whether it is this process, or the command that started it
	self() string              // this process, for cgroup.procs
}

// files is the real one.
type files struct{}

func (files) exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (files) writable(path string) bool { return unix.Access(path, unix.W_OK) == nil }

func (files) read(path string) string {
	body, _ := os.ReadFile(path)
	return string(body)
}

func (files) write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func (files) mkdir(path string) error { return os.Mkdir(path, 0o755) }

func (files) rmdir(path string) error {
	if err := unix.Rmdir(path); err != nil {
		return &os.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

func (files) list(path string) []string {
	var out []string
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

func (k files) ours(pid string) bool {
	if pid == k.self() {
		return true
	}
	program, err := os.Readlink("/proc/" + pid + "/exe")
	return err == nil && strings.TrimSuffix(filepath.Base(program), " (deleted)") == "aegis"
}

func (files) self() string { return strconv.Itoa(os.Getpid()) }
