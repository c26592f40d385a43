//go:build linux

package harness

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/harness/fuse"
)

// workspaceDir is where the workspace appears.
const workspaceDir = "/workspace"

// Descriptors of the pump, after its standard ones.
const (
	pumpDev     = 3
	pumpChannel = 4
)

// workspace is the mount and the process that moves its messages.
type workspace struct {
	pid    int
	ended  chan struct{}   // closed when the pump has ended
	status unix.WaitStatus // then
}

// mountWorkspace mounts and starts the pump, a process of its own since that is
// two to three times faster than goroutines of this one.
func mountWorkspace(r *reaper, readOnly bool) (*workspace, error) {
	if err := os.MkdirAll(workspaceDir, 0o755); err != nil {
		return nil, fmt.Errorf("make %q: %w", workspaceDir, err)
	}
	channel, err := openPortBlocking(fsPort)
	if err != nil {
		return nil, err
	}
	defer channel.Close()
	dev, err := fuse.Mount(workspaceDir, readOnly)
	if err != nil {
		return nil, fmt.Errorf("mount the workspace: %w", err)
	}
	defer dev.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{0, 1, 2, pumpDev: dev.Fd(), pumpChannel: channel.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	w := &workspace{ended: make(chan struct{})}
	var exit <-chan unix.WaitStatus
	w.pid, exit, err = r.start(func() (int, error) {
		return syscall.ForkExec("/proc/self/exe", []string{pumpName}, attr)
	})
	if err != nil {
		return nil, fmt.Errorf("start the workspace's pump: %w", err)
	}
	go func() {
		w.status = <-exit
		close(w.ended)
	}()
	go readAhead()
	return w, nil
}

// readAhead waits for the host's first answer, which the command need not.
func readAhead() {
	if err := fuse.ReadAhead(workspaceDir); err != nil {
		say("workspace: %v", err)
	}
}

// stop unmounts, which ends the pump.
func (w *workspace) stop() {
	if err := unix.Unmount(workspaceDir, unix.MNT_DETACH); err != nil {
		say("unmount the workspace: %v", err)
	}
	select {
	case <-w.ended:
	case <-time.After(time.Second):
		unix.Kill(w.pid, unix.SIGKILL)
		<-w.ended
	}
}

// neverOOM keeps this process from the out-of-memory killer (proc(5),
// oom_score_adj), which would take the workspace away. PID 1 needs no such word:
// the kernel never chooses it.
func neverOOM() error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
}

// pump is the pump's main. It ends with the mount or the channel.
func pump() int {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	if err := neverOOM(); err != nil {
		say("workspace: %v", err)
	}
	err := fuse.Pump(os.NewFile(pumpDev, "/dev/fuse"), os.NewFile(pumpChannel, fsPort))
	if err != nil {
		say("workspace: %v", err)
		return 1
	}
	return 0
}
