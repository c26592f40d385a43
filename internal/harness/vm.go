//go:build linux

package harness

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// vm is the machine that the harness is PID 1 of.
type vm struct {
	reaper    *reaper
	mu        sync.Mutex // keeps prepare, become, undo and stop apart
	ground               // laid once
	drivers   map[string]bool
	disk      string     // device, or memory
	made      bool       // the workspace's directory, by mount
	root      *wire.Root // mounted ahead of the start; nil: nothing is
	network   *wire.Network
	ingress   bool // the host's streams may come over the network
	workspace *workspace
	spare     *pump // waits for the workspace's mount; nil: none was started ahead
	stopping  atomic.Bool
}

// become follows the order of what depends on what.
func (m *vm) become(start wire.Start, rehearsal bool, mark func(string)) (*cgroups, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.identify(start); err != nil {
		return nil, err
	}
	mark("identity")
	if err := m.lay(start.Root.Base, start.Root.BaseType); err != nil {
		return nil, err
	}
	if !rehearsal {
		if err := m.unmask(); err != nil {
			return nil, err
		}
	}
	mark("base")
	ahead, err := m.settle(start.Root, rehearsal)
	if err != nil {
		return nil, err
	}
	mark("disks")
	if err := m.join(start.Network); err != nil { // its drivers are where the root will be
		return nil, err
	}
	mark("network")
	if !ahead {
		if err := m.enter(); err != nil {
			return nil, err
		}
		mark("root")
	}
	if err := writeEtc("/etc", etcFiles(start.Hostname, start.MachineID, start.Network)); err != nil {
		say("write /etc: %v", err)
	}
	mark("etc")
	if err := m.share(start, rehearsal); err != nil {
		return nil, err
	}
	mark("workspace")
	return m.groups, nil
}

// attach mounts the disk and the overlay.
func (m *vm) attach(root wire.Root) error {
	if root.Disk == "" {
		m.disk = memory
		return layers(memory)
	}
	dev, err := m.device(root.Disk)
	if err != nil {
		return err
	}
	if err := awaitSize(dev, root.Size, bootWait); err != nil {
		return err
	}
	m.disk = dev
	return layers(dev)
}

// settle mounts the start's disks, unless they were ahead, and then are the root.
func (m *vm) settle(root wire.Root, rehearsal bool) (ahead bool, err error) {
	if m.root == nil {
		return false, m.attach(root)
	}
	if rehearsal || *m.root != root {
		return true, fault.New(fault.WrongState, "", "", "another disk is mounted")
	}
	m.root = nil
	return true, nil
}

// enter makes the overlay the root, and a place where processes can live.
func (m *vm) enter() error {
	if err := switchRoot(); err != nil {
		return err
	}
	return m.move("")
}

// mount is done ahead of the start, and does twice what that will do once more: to take
// over a network and to write files over. Then nothing of it is new to the machine.
func (m *vm) mount(ahead wire.Ahead, programs func(*cgroups)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root != nil {
		return fault.New(fault.WrongState, "", "", "a disk is mounted")
	}
	if err := m.lay(ahead.Root.Base, ahead.Root.BaseType); err != nil {
		return err
	}
	if err := m.attach(ahead.Root); err != nil {
		return err
	}
	for range 2 {
		if err := m.join(ahead.Network); err != nil {
			return err
		}
	}
	if err := m.enter(); err != nil {
		return err
	}
	m.root = &ahead.Root
	m.made = os.Mkdir(workspaceDir, 0o755) == nil
	for _, name := range []string{"nobody", "localhost"} {
		if err := writeEtc("/etc", etcFiles(name, strings.Repeat("0", 32), ahead.Network)); err != nil {
			return err
		}
	}
	if err := writable(false); err != nil {
		return err
	}
	programs(m.groups)
	return writable(true)
}

// writable says of all that has files whether they can be written.
func writable(can bool) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if can {
		attr = unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	}
	for _, dir := range []string{"/", "/dev", "/dev/shm", "/tmp", "/run"} {
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &attr); err != nil {
			return fmt.Errorf("let %q be written, %t: %w", dir, can, err)
		}
	}
	return nil
}

// unmount undoes mount, but for the network.
func (m *vm) unmount() error {
	m.mu.Lock()
	mounted := m.root != nil
	m.mu.Unlock()
	if !mounted {
		return fault.New(fault.WrongState, "", "", "no disk is mounted")
	}
	return m.undo()
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

func (m *vm) reachable() bool { return m.ingress }

func (m *vm) setClock(c wire.Clock) error { return setClock(c) }

func (m *vm) stats() (wire.Stats, error) { return readStats("/proc", "/", cgroupDir) }

// stop ends the processes, then the mounts. When it returns the disk is whole,
// unless nobody wants it, or the error says what is not.
func (m *vm) stop(how wire.Shutdown) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping.Store(true)
	m.clear(how.Grace)
	if how.Discard {
		return nil
	}
	syncDisks()
	if err := stepOut(m.outside); err != nil {
		return err
	}
	return unmountRoot(m.disk)
}

// clear ends every process and the workspace.
func (m *vm) clear(grace time.Duration) {
	endProcesses(grace, m.pumps()...)
	if m.workspace != nil {
		m.workspace.stop()
	}
}

// undo takes back what become did in a rehearsal: afterwards the ground is as it was
// laid, but for a pump that waits and a network that is joined, and nothing is left of the disk.
func (m *vm) undo() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear(0)
	m.workspace, m.root = nil, nil
	if err := stepOut(m.outside); err != nil {
		return err
	}
	if err := m.move(stageDir); err != nil {
		return err
	}
	if err := unmountRoot(m.disk); err != nil {
		return err
	}
	if err := m.renew(); err != nil {
		return err
	}
	return m.station()
}

// pumps are the processes that are not the user's.
func (m *vm) pumps() (pids []int) {
	if m.workspace != nil {
		pids = append(pids, m.workspace.pid)
	}
	if m.spare != nil {
		pids = append(pids, m.spare.pid)
	}
	return pids
}

func (m *vm) off(why string) { end(why) }
