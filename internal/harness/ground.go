//go:build linux

package harness

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// stageDir holds the mounts of an instance's root while there is none.
const stageDir = "/aegis/stage"

// ground is what is the same for each instance of an image, and can be there before
// it is known which one this is: the base, and the file systems without a disk. It is
// laid by a preparation, else by the start.
type ground struct {
	laid    bool
	outside int            // descriptor of the initramfs
	trees   map[string]int // descriptors of fixtures by where they belong
	groups  *cgroups
	devices map[string]string // disks by serial number
	masked  bool              // the boot ID can't be read
}

// lay mounts the base and the fixtures, once.
func (g *ground) lay(base, baseType string) error {
	if g.laid {
		return nil
	}
	var err error
	if g.outside, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the initramfs: %w", err)
	}
	if err := g.mountBase(base, baseType); err != nil {
		return err
	}
	if err := mountAll(staged(fixtures)); err != nil {
		return err
	}
	for link, target := range devLinks {
		if err := os.Symlink(target, stageDir+link); err != nil && !os.IsExist(err) {
			say("make %q: %v", link, err)
		}
	}
	if err := g.hold(movable...); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return err
	}
	if g.groups, err = newCgroups(stageDir+cgroupRoot, stageDir+cgroupDir); err != nil {
		return err
	}
	g.groups.dir = cgroupDir // where it is once there is a root
	g.laid = true
	return nil
}

func (g *ground) mountBase(serial, kind string) error {
	base, err := g.device(serial)
	if err != nil {
		return err
	}
	switch kind {
	case "ext4":
	case "erofs":
		if err := loadModules("/modules", "order.erofs"); err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "", "", "a base image can't be of type %.40q", kind)
	}
	return mountAll([]mount{{base, baseDir, kind, unix.MS_RDONLY, "", false}})
}

// device is findDisk, from memory the second time.
func (g *ground) device(serial string) (string, error) {
	if dev := g.devices[serial]; dev != "" {
		return dev, nil
	}
	dev, err := findDisk(serial, bootWait)
	if err != nil {
		return "", err
	}
	if g.devices == nil {
		g.devices = map[string]string{}
	}
	g.devices[serial] = dev
	return dev, nil
}

// staged is a table of mounts below stageDir.
func staged(table []mount) []mount {
	out := make([]mount, 0, len(table))
	for _, m := range table {
		m.target = stageDir + m.target
		out = append(out, m)
	}
	return out
}

// hold opens staged mounts, so that they can be moved from wherever they are.
func (g *ground) hold(targets ...string) error {
	if g.trees == nil {
		g.trees = map[string]int{}
	}
	for _, target := range targets {
		fd, err := unix.Open(stageDir+target, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("hold the mount of %q: %w", target, err)
		}
		g.trees[target] = fd
	}
	return nil
}

// move takes the fixtures below dir: to "" from stageDir once the root was switched,
// and back again. What is at the target in the root is looked up there, so that a
// symbolic link of the image's leads nowhere else.
func (g *ground) move(dir string) error {
	for _, target := range movable {
		to := dir + target
		err := unix.MoveMount(g.trees[target], "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH)
		if errors.Is(err, unix.ENOENT) {
			if err = os.MkdirAll(to, 0o755); err == nil {
				err = unix.MoveMount(g.trees[target], "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH)
			}
		}
		if err != nil {
			return fmt.Errorf("move a mount to %q: %w", to, err)
		}
	}
	return nil
}

// renew replaces the fixtures that processes write to by empty ones.
func (g *ground) renew() error {
	for _, m := range staged(fixtures) {
		if m.fstype != "tmpfs" {
			continue
		}
		if err := unix.Unmount(m.target, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %q: %w", m.target, err)
		}
		if err := mountAll([]mount{m}); err != nil {
			return err
		}
	}
	for _, target := range []string{"/tmp", "/run"} {
		unix.Close(g.trees[target])
		if err := g.hold(target); err != nil {
			return err
		}
	}
	return nil
}

// The kernel makes its boot ID when somebody reads it first (drivers/char/random.c,
// proc_do_uuid), and all clones of a VM where that has happened have the same. So
// nobody can, until a clone has got its own randomness.
const (
	bootID  = stageDir + "/proc/sys/kernel/random/boot_id"
	noID    = "/aegis/boot-id"
	nobody  = "00000000-0000-0000-0000-000000000000\n"
	maskErr = "hide the boot ID: %w"
)

func (g *ground) mask() error {
	if g.masked {
		return nil
	}
	if err := os.WriteFile(noID, []byte(nobody), 0o444); err != nil {
		return fmt.Errorf(maskErr, err)
	}
	if err := unix.Mount(noID, bootID, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf(maskErr, err)
	}
	g.masked = true
	return nil
}

func (g *ground) unmask() error {
	if !g.masked {
		return nil
	}
	err := unix.Unmount(bootID, 0)
	if errors.Is(err, unix.ENOENT) { // the root was entered ahead
		err = unix.Unmount(strings.TrimPrefix(bootID, stageDir), 0)
	}
	if err != nil {
		return fmt.Errorf("show the boot ID: %w", err)
	}
	g.masked = false
	return nil
}

// prepare lays the ground of a template, and joins its network, which is nobody's yet.
func (m *vm) prepare(p wire.Prepare) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.lay(p.Base, p.BaseType); err != nil {
		return err
	}
	if err := m.mask(); err != nil {
		return err
	}
	if p.Network == nil {
		return nil
	}
	if p.Network.TAP {
		return m.drive(p.Network)
	}
	return m.join(p.Network)
}
