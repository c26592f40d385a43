package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"aegis/internal/confine"
	"aegis/internal/undo"
)

// helper is a process that takes what a guest sends: `aegis-shim fs` or `aegis-shim
// net`. It gets just three descriptors: a pipe whose end it must not outlive, the
// guest's channel, and one more: the workspace's directory, or the broker's socket.
type helper struct {
	what string // for messages
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
	fdOwn
)

// startHelper starts the helper with its name, the rung that confines it, and these
// arguments, as who if we are root; own is its third descriptor. The caller closes
// channel and own, which the helper has for itself.
func startHelper(what string, name string, rung confine.Rung, who confine.Identity, args []string, channel *net.UnixConn, own *os.File) (*helper, error) {
	var u undo.Stack
	defer u.Run()
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
	h := &helper{what: what, life: life, done: make(chan struct{})}
	self, err := confine.Self()
	if err != nil {
		return nil, err
	}
	h.cmd = exec.Command(self, append([]string{name, string(rung)}, args...)...)
	h.cmd.Args[0], h.cmd.Env = "aegis-shim", []string{}
	h.cmd.ExtraFiles = []*os.File{child, end, own}
	h.cmd.Stderr = &h.last
	confine.Prepare(h.cmd, rung, who)
	if err := startBound(h.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
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

// helperArgs are the rung and the rest of a helper's arguments.
func helperArgs(args []string) (confine.Rung, []string) {
	if len(args) == 0 {
		return confine.Off, nil
	}
	return confine.Rung(args[0]), args[1:]
}

// helperMain takes a helper's descriptors, and ends the process when whoever
// started it is gone.
func helperMain(own string) (context.Context, net.Conn, *os.File, error) {
	life := os.NewFile(fdLife, "life")
	channel, err := net.FileConn(os.NewFile(fdChannel, "channel"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("take the channel: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		life.Read(make([]byte, 1))
		cancel()
		os.Exit(0)
	}()
	return ctx, channel, os.NewFile(fdOwn, own), nil
}
