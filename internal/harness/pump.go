//go:build linux

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/harness/fuse"
	"aegis/internal/wire"
)

// Descriptors of the pump, after its standard ones.
const (
	pumpDev     = 3
	pumpChannel = 4
	pumpGate    = 5
)

// pump is the process that carries a workspace's messages: one of its own, since
// that is two to three times faster than goroutines of this one. It waits at its gate
// until its mount has a place, so that both can be made long before: to begin a process
// takes longer, without KVM, than everything else about a workspace, and to mount comes next.
type pump struct {
	pid    int
	mount  *os.File        // nowhere yet
	gate   *os.File        // who owns the workspace lets the pump begin, the end of the pipe ends it
	ended  chan struct{}   // closed when it has ended
	status unix.WaitStatus // then
}

// startPump starts one over a channel, of which it has its own descriptor: one that is
// there, or what the host dials to make it.
func startPump(r *reaper, channel *os.File) (*pump, error) {
	dev, err := fuse.Open()
	if err != nil {
		return nil, err
	}
	defer dev.Close() // the pump has its own
	mount, err := fuse.Mount(dev)
	if err != nil {
		return nil, err
	}
	var gate [2]int // raw: the pump reads with a plain system call
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		mount.Close()
		return nil, fmt.Errorf("make the pump's gate: %w", err)
	}
	defer unix.Close(gate[0])
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{0, 1, 2, pumpDev: dev.Fd(), pumpChannel: channel.Fd(), pumpGate: uintptr(gate[0])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	p := &pump{mount: mount, gate: os.NewFile(uintptr(gate[1]), "gate"), ended: make(chan struct{})}
	var exit <-chan unix.WaitStatus
	p.pid, exit, err = r.start(func() (int, error) {
		return syscall.ForkExec("/proc/self/exe", []string{pumpName}, attr)
	})
	if err != nil {
		p.forget()
		return nil, fmt.Errorf("start the workspace's pump: %w", err)
	}
	go func() {
		p.status = <-exit
		close(p.ended)
	}()
	return p, nil
}

// begin lets it carry messages, once its mount has a place. The host is told before all
// else to whom its user's files belong.
func (p *pump) begin(to wire.Owner) error {
	_, err := p.gate.Write(to.Message()) // at once: it is shorter than PIPE_BUF
	p.forget()
	return err
}

// forget closes our ends. A pump that waits at its gate ends, and a mount without a place.
func (p *pump) forget() {
	p.gate.Close()
	p.mount.Close()
}

// end waits for the end of a pump whose mount or gate is gone.
func (p *pump) end() {
	select {
	case <-p.ended:
	case <-time.After(time.Second):
		unix.Kill(p.pid, unix.SIGKILL)
		<-p.ended
	}
}

// neverOOM keeps this process from the out-of-memory killer (proc(5),
// oom_score_adj), which would take the workspace away. PID 1 needs no such word:
// the kernel never chooses it.
func neverOOM() error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
}

// pumpMain is the pump's main. It ends with the mount, the channel or the gate.
func pumpMain() int {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	if err := neverOOM(); err != nil {
		say("workspace: %v", err)
	}
	owner, ok := admitted(pumpGate)
	if !ok {
		return 0
	}
	fd, err := dialled(pumpChannel)
	channel := os.NewFile(uintptr(fd), fsPort)
	if err == nil && !bytes.Equal(owner, wire.Owner{}.Message()) { // root, as the host takes it to be anyway
		_, err = channel.Write(owner)
	}
	if err == nil {
		err = fuse.Pump(os.NewFile(pumpDev, "/dev/fuse"), channel)
	}
	if err != nil {
		say("workspace: %v", err)
		return 1
	}
	return 0
}

// admitted waits at the gate for the owner's message. False: it is closed for good.
func admitted(gate int) ([]byte, bool) {
	defer unix.Close(gate)
	owner := wire.Owner{}.Message()
	for {
		n, err := unix.Read(gate, owner)
		if err != unix.EINTR {
			return owner, n == len(owner)
		}
	}
}
