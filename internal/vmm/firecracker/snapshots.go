package firecracker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// snapshotter implements vmm.Snapshotter.
type snapshotter struct{ b *Backend }

// Snapshots implements vmm.Backend.
func (b *Backend) Snapshots() (vmm.Snapshotter, bool) { return snapshotter{b}, true }

// Version implements vmm.Snapshotter. A snapshot is bound to the monitor, the processor
// and the host's kernel (its documentation, "Snapshot support").
func (s snapshotter) Version(ctx context.Context) (string, error) {
	bin, err := find()
	if err != nil {
		return "", err
	}
	version, err := bin.version(ctx)
	if err != nil {
		return "", err
	}
	build, err := bin.build()
	if err != nil {
		return "", fmt.Errorf("tell Firecracker's build: %w", err)
	}
	cpu, err := monitor.Processor()
	if err != nil {
		return "", fmt.Errorf("tell the processor: %w", err)
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return "", fmt.Errorf("tell the host's kernel: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%s\n%s %s\n%s\n", format, build, cpu,
		unix.ByteSliceToString(host.Release[:]), unix.ByteSliceToString(host.Version[:]), guestArgs(vmm.Config{}))
	return fmt.Sprintf("firecracker-%s-%s", version, hex.EncodeToString(h.Sum(nil)[:16])), nil
}

// Save implements vmm.Snapshotter.
func (s snapshotter) Save(ctx context.Context, vm vmm.VM) error {
	defer vm.Close()
	m, ok := vm.(*machine)
	if !ok {
		return errors.New("save with firecracker: the VM is not this backend's")
	}
	if err := m.saveTo(ctx); err != nil {
		return fmt.Errorf("save with firecracker: %w", err)
	}
	return nil
}

// saveTo writes the template, or empties its directory.
func (m *machine) saveTo(ctx context.Context) error {
	if m.outdir == "" {
		return errors.New("the VM was not booted as a template")
	}
	var u undo.Stack
	defer u.Run()
	for _, name := range []string{ramFile, stateFile, manifestFile} {
		u.Add(func() { os.Remove(filepath.Join(m.outdir, name)) })
	}
	if err := m.Running(); err != nil {
		return err
	}
	err := m.api.patch(ctx, "/vm", vmState{"Paused"})
	if err == nil {
		err = m.api.put(ctx, "/snapshot/create", m.save)
	}
	if err != nil {
		return m.lastWords(err)
	}
	m.Close() // before the files are described: nothing writes to them any more
	made, err := describe(m.outdir, m.memory)
	if err != nil {
		return err
	}
	if err := made.publish(m.outdir); err != nil {
		return err
	}
	u.Keep()
	return nil
}

// Restore implements vmm.Snapshotter. An error that is vmm.ErrTemplate means that no
// other Restore will do better.
func (s snapshotter) Restore(ctx context.Context, dir string, cfg vmm.Config) (vmm.VM, error) {
	m, err := s.b.restore(ctx, dir, cfg)
	if err != nil {
		return nil, fmt.Errorf("restore with firecracker: %w", err)
	}
	return m, nil
}

func (b *Backend) restore(ctx context.Context, dir string, cfg vmm.Config) (*machine, error) {
	if err := check(cfg); err != nil {
		return nil, err
	}
	t, err := openTemplate(dir, cfg.Memory)
	if err != nil {
		return nil, err
	}
	defer t.close()
	cfg.Kernel, cfg.Initrd, cfg.Args, cfg.Template = nil, nil, nil, ""
	load := snapshotLoad{Resume: true}
	m, err := b.spawn(ctx, cfg, func(p *passed) {
		load.State, load.Memory = p.pass(t.state), memoryBackend{"File", p.pass(t.ram)}
	})
	if err != nil {
		return nil, err
	}
	var u undo.Stack
	defer u.Run()
	u.Add(func() { m.Close() })
	if err := m.api.put(ctx, "/snapshot/load", load); err != nil {
		return nil, m.lastWords(err)
	}
	if err := m.resize(ctx); err != nil {
		return nil, m.lastWords(err)
	}
	u.Keep()
	return m, nil
}

// resize has the guest learn the sizes of the disks that it may write: the template's
// had others, and the monitor tells only of a disk that is changed.
func (m *machine) resize(ctx context.Context) error {
	for i, d := range m.disks {
		if d.ReadOnly || d.File == nil {
			continue
		}
		if err := m.api.patch(ctx, "/drives/"+diskID(i), drivePatch{diskID(i), diskPath(i)}); err != nil {
			return err
		}
	}
	return nil
}

// Replace implements vmm.Snapshotter.
func (s snapshotter) Replace(ctx context.Context, vm vmm.VM, serial string, file *os.File) error {
	m, ok := vm.(*machine)
	if !ok {
		return errors.New("replace a disk with firecracker: the VM is not this backend's")
	}
	if err := m.replace(ctx, serial, file); err != nil {
		return fmt.Errorf("replace disk %q with firecracker: %w", serial, err)
	}
	return nil
}

func (m *machine) replace(ctx context.Context, serial string, file *os.File) error {
	m.replacing.Lock()
	defer m.replacing.Unlock()
	if err := m.Running(); err != nil {
		return err
	}
	i := slices.IndexFunc(m.disks, func(d vmm.Disk) bool { return d.Serial == serial })
	if i < 0 {
		return errors.New("there is none")
	}
	name, done, err := m.offer(file)
	if err != nil {
		return err
	}
	defer done()
	return m.lastWords(m.api.patch(ctx, "/drives/"+diskID(i), drivePatch{diskID(i), name}))
}

// offer gives an open file a name that the monitor, which takes no descriptors once it
// runs, can open it by: one in its directory, or where that is on another file system
// the file's own. The caller runs done when the monitor has it.
func (m *machine) offer(file *os.File) (name string, done func(), err error) {
	info, err := file.Stat()
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, errors.New("the new one is no regular file")
	}
	own := fdPath(int(file.Fd()))
	link := filepath.Join(m.dir, newDisk)
	err = unix.Linkat(unix.AT_FDCWD, own, unix.AT_FDCWD, link, unix.AT_SYMLINK_FOLLOW)
	if err == nil {
		return newDisk, func() { os.Remove(link) }, nil
	}
	if !errors.Is(err, unix.EXDEV) || m.confined { // which can't go to where the file is
		return "", nil, fmt.Errorf("name the new one: %w", err)
	}
	path, err := os.Readlink(own)
	if err != nil {
		return "", nil, err
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(now, info) {
		return "", nil, fmt.Errorf("name the new one: something else is at %q", path)
	}
	return path, func() {}, nil
}
