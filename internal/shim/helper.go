package shim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/undo"
)

// helper is the process that serves a workspace: `aegis-shim fs`. It gets just
// three descriptors: a pipe whose end it must not outlive, the guest's channel, and the
// directory.
type helper struct {
	cmd  *exec.Cmd
	life *os.File      // closing it ends the helper
	done chan struct{} // closed when it was reaped
	err  error         // after done: why it ended
	last console       // what it said
}

// The helper's descriptors.
const (
	fdLife = 3 + iota
	fdChannel
	fdRoot
)

// readOnlyFlag is the helper's one argument besides its name.
const readOnlyFlag = "--read-only"

func startHelper(w *instance.Workspace, channel *net.UnixConn) (*helper, error) {
	var u undo.Stack
	defer u.Run()
	root, err := os.Open(w.Path)
	if err != nil {
		return nil, fault.New(fault.Workspace, w.Path, "open the workspace", "%w", err)
	}
	defer root.Close()
	end, err := channel.File()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	child, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer child.Close()
	u.Add(func() { life.Close() })
	h := &helper{life: life, done: make(chan struct{})}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h.cmd = exec.Command(self, "fs")
	if w.ReadOnly {
		h.cmd.Args = append(h.cmd.Args, readOnlyFlag)
	}
	h.cmd.Env = []string{}
	h.cmd.ExtraFiles = []*os.File{child, end, root}
	h.cmd.Stderr = &h.last
	if err := startBound(h.cmd); err != nil {
		return nil, fmt.Errorf("start the workspace's server: %w", err)
	}
	go h.reap()
	u.Keep()
	return h, nil
}

func (h *helper) reap() {
	h.err = h.cmd.Wait()
	if h.err == nil {
		h.err = errors.New("it ended by itself")
	}
	if said := h.last.Tail(3); len(said) > 0 {
		h.err = fmt.Errorf("%w: %s", h.err, strings.Join(said, " | "))
	}
	close(h.done)
}

// stop ends the helper and waits for it. A nil helper is stopped.
func (h *helper) stop() {
	if h == nil {
		return
	}
	h.life.Close()
	h.cmd.Process.Kill()
	<-h.done
}
