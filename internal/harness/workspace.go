//go:build linux

package harness

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/harness/fuse"
	"aegis/internal/wire"
)

// workspaceDir is where the workspace appears.
const workspaceDir = "/workspace"

// workspace is the mount and its pump.
type workspace struct {
	*pump
	later   *time.Timer   // of readAhead
	ahead   chan struct{} // closed when nothing of ours looks into it any more
	pretend io.Closer     // in a rehearsal, the end in the host's place
}

// mountWorkspace gives the pump's mount its place, and lets the pump begin. What is the
// host's user's is the owner's.
func mountWorkspace(p *pump, readOnly bool, to wire.Owner) (*workspace, error) {
	if err := os.MkdirAll(workspaceDir, 0o755); err != nil {
		return nil, fmt.Errorf("make %q: %w", workspaceDir, err)
	}
	if err := fuse.Attach(p.mount, workspaceDir, readOnly); err != nil {
		return nil, err
	}
	if err := p.begin(to); err != nil {
		return nil, fmt.Errorf("begin the workspace's pump: %w", err)
	}
	w := &workspace{pump: p, ahead: make(chan struct{})}
	w.later = time.AfterFunc(readAheadAfter, func() {
		defer close(w.ahead)
		readAhead()
	})
	return w, nil
}

// readAheadAfter lets the command begin before the read-ahead is set: what waits for the
// host in a system call meanwhile has the harness's one processor, until the runtime's
// monitor sees that (calmRuntime).
const readAheadAfter = 50 * time.Millisecond

// readAhead waits for the host's first answer, which the command need not.
func readAhead() {
	if err := fuse.ReadAhead(workspaceDir); err != nil {
		say("workspace: %v", err)
	}
}

// stop unmounts, which ends the pump.
func (w *workspace) stop() {
	if w.later.Stop() {
		close(w.ahead)
	}
	if err := unix.Unmount(workspaceDir, unix.MNT_DETACH); err != nil {
		say("unmount the workspace: %v", err)
	}
	w.end()
	if w.pretend != nil {
		w.pretend.Close()
	}
	<-w.ahead
}

// share mounts the instance's workspace, for the user of its main process. A rehearsal's is an empty directory that the
// harness itself serves, by the same ways but for the port.
func (m *vm) share(start wire.Start, rehearsal bool) (err error) {
	asked := start.Workspace
	if asked == nil {
		if !rehearsal {
			m.dismiss()
		}
		if m.made {
			os.Remove(workspaceDir)
		}
		return nil
	}
	if rehearsal {
		m.workspace, err = m.pretend(asked.ReadOnly)
		return err
	}
	var main account // root's, which needs no looking for
	if start.Main.User != "" {
		if main, err = findAccount(start.Main.User, "/etc/passwd", "/etc/group"); err != nil {
			return err
		}
	}
	if err := m.station(); err != nil {
		return err
	}
	p := m.spare
	m.spare = nil
	if m.workspace, err = mountWorkspace(p, asked.ReadOnly, wire.Owner{UID: main.uid, GID: main.gid}); err != nil {
		return err
	}
	go m.guard(m.workspace)
	return nil
}

// station mounts the instance's workspace, with its pump, ahead of its place, once.
func (m *vm) station() error {
	if m.spare != nil {
		return nil
	}
	channel, err := openForPump(fsPort)
	if err != nil {
		return err
	}
	defer channel.Close()
	m.spare, err = startPump(m.reaper, channel)
	return err
}

// dismiss ends the pump of an instance without a workspace.
func (m *vm) dismiss() {
	if m.spare == nil {
		return
	}
	m.spare.forget()
	m.spare = nil
}

// pretend mounts a rehearsal's workspace.
func (m *vm) pretend(readOnly bool) (*workspace, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	unix.SetNonblock(fds[0], true) // ours waits in the poller
	ours, theirs := os.NewFile(uintptr(fds[0]), "pretended host"), os.NewFile(uintptr(fds[1]), "channel")
	defer theirs.Close()
	p, err := startPump(m.reaper, theirs)
	if err != nil {
		ours.Close()
		return nil, err
	}
	w, err := mountWorkspace(p, readOnly, wire.Owner{})
	if err != nil {
		p.forget()
		ours.Close()
		return nil, err
	}
	w.pretend = ours
	go fuse.Pretend(ours)
	return w, nil
}

// guard ends the VM when the workspace is gone: nothing could be read or written
// any more, and processes would hang in it.
func (m *vm) guard(w *workspace) {
	<-w.ended
	if m.stopping.Load() {
		return
	}
	say("workspace: its pump ended with status %d, signal %d", w.status.ExitStatus(), w.status.Signal())
	m.off("the workspace is gone")
}
