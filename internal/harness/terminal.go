//go:build linux

package harness

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal: our side and the process's. Ours does not
// block, so that reading it can be given up: pty.Open leaves it blocking.
func openTerminal() (ours, its *os.File, err error) {
	blocking, its, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer blocking.Close()
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		its.Close()
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), blocking.Name()), its, nil
}

// resize tells a terminal its size. An error is the terminal's end.
func resize(terminal *os.File, rows, cols uint16) {
	onDescriptor(terminal, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
}

// foreground is the process group that has the terminal, or 0.
func foreground(terminal *os.File) (group int) {
	onDescriptor(terminal, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return max(group, 0)
}

// onDescriptor calls f with the descriptor of a file, which File.Fd would make
// blocking.
func onDescriptor(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
