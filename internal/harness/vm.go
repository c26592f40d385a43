//go:build linux

package harness

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// vm is the machine that the harness is PID 1 of.
type vm struct {
	reaper    *reaper
	mu        sync.Mutex // keeps become and stop apart
	initramfs int        // descriptor; 0 before the root was switched
	disk      string     // device
	workspace *workspace
	stopping  atomic.Bool
}

// become follows the order of what depends on what. It runs once.
func (m *vm) become(start wire.Start, mark func(string)) (*cgroups, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.identify(start); err != nil {
		return nil, err
	}
	mark("identity")
	var err error
	if m.disk, err = layers(start.Root); err != nil {
		return nil, err
	}
	mark("disks")
	if err := joinNetwork(start.Network); err != nil {
		return nil, err
	}
	mark("network")
	if m.initramfs, err = switchRoot(); err != nil {
		return nil, err
	}
	groups, err := furnish(start)
	if err != nil {
		return nil, err
	}
	mark("root")
	if start.Workspace != nil {
		if m.workspace, err = mountWorkspace(m.reaper, start.Workspace.ReadOnly); err != nil {
			return nil, err
		}
		go m.guard(m.workspace)
		mark("workspace")
	}
	return groups, nil
}

// identify makes this machine unlike any other, before anything else happens.
func (m *vm) identify(start wire.Start) error {
	if err := checkIdentity(start); err != nil {
		return err
	}
	if err := addEntropy(start.Seed); err != nil {
		return err
	}
	if err := setClock(start.Clock); err != nil {
		return err
	}
	return unix.Sethostname([]byte(start.Hostname))
}

// furnish makes the root a place where processes can live.
func furnish(start wire.Start) (*cgroups, error) {
	if err := mountAll(rootMounts); err != nil {
		return nil, err
	}
	for link, target := range devLinks {
		if err := os.Symlink(target, link); err != nil && !os.IsExist(err) {
			say("make %q: %v", link, err)
		}
	}
	if err := writeEtc("/etc", etcFiles(start.Hostname, start.MachineID, start.Network)); err != nil {
		say("write /etc: %v", err)
	}
	if err := raiseLoopback(); err != nil {
		return nil, err
	}
	return newCgroups(cgroupRoot, cgroupDir)
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

func (m *vm) setClock(c wire.Clock) error { return setClock(c) }

func (m *vm) stats() (wire.Stats, error) { return readStats("/proc", "/", cgroupDir) }

// stop ends the processes, then the mounts. When it returns the disk is whole,
// or the error says what is not.
func (m *vm) stop(grace time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping.Store(true)
	endProcesses(grace, m.pumpPID())
	if m.workspace != nil {
		m.workspace.stop()
	}
	syncDisks()
	return unmountAll(m.initramfs, m.disk)
}

func (m *vm) pumpPID() int {
	if m.workspace == nil {
		return 0
	}
	return m.workspace.pid
}

func (m *vm) off(why string) { end(why) }
