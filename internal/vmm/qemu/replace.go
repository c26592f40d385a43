package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"aegis/internal/vmm"
)

// drive is a disk's block nodes: disk under the device, which lasts, and under that
// what Replace changes. Under machine.replacing.
type drive struct {
	serial   string
	readOnly bool
	size     int64 // bytes, of the file; -1 for none
	replaced int   // how often
	hasFile  bool  // there is a descriptor in QEMU's set
	set      int   // its number
}

func newDrives(cfg vmm.Config) []drive {
	var out []drive
	for i, d := range cfg.Disks {
		n := drive{serial: d.Serial, readOnly: d.ReadOnly, hasFile: d.File != nil, set: i, size: -1}
		if d.File != nil {
			if info, err := d.File.Stat(); err == nil && info.Mode().IsRegular() {
				n.size = info.Size()
			}
		}
		out = append(out, n)
	}
	return out
}

// Replace implements vmm.Snapshotter.
func (s snapshotter) Replace(ctx context.Context, vm vmm.VM, serial string, file *os.File) error {
	m, ok := vm.(*machine)
	if !ok {
		return errors.New("replace a disk with qemu: the VM is not this backend's")
	}
	if err := m.replace(ctx, serial, file); err != nil {
		return fmt.Errorf("replace disk %q with qemu: %w", serial, err)
	}
	return nil
}

func (m *machine) replace(ctx context.Context, serial string, file *os.File) error {
	m.replacing.Lock()
	defer m.replacing.Unlock()
	if err := m.Running(); err != nil {
		return err
	}
	i := slices.IndexFunc(m.disks, func(d drive) bool { return d.serial == serial })
	if i < 0 {
		return errors.New("there is none")
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("the new one is no regular file")
	}
	old := m.disks[i]
	m.disks[i].size, m.disks[i].hasFile = info.Size(), true
	m.disks[i].replaced, m.disks[i].set = old.replaced+1, len(m.disks)*(old.replaced+1)+i
	return m.lastWords(m.control.run(ctx, file, m.disks[i].swap(i, old)...))
}

// swap puts the file that comes with the commands behind the ith disk, and takes away
// what was there. The disk's own node stays, so the device does not notice.
func (d drive) swap(i int, old drive) []command {
	node, oldNode := fileNode(i, d.replaced), fileNode(i, old.replaced)
	out := []command{
		{Execute: "add-fd", Arguments: args{"fdset-id": d.set}},
		{Execute: "blockdev-add", Arguments: args{"driver": "file", "node-name": node, "filename": fmt.Sprintf("/dev/fdset/%d", d.set),
			"discard": "unmap", "read-only": d.readOnly}},
		{Execute: "blockdev-reopen", Arguments: args{"options": []args{{"driver": "raw", "node-name": diskNode(i), "file": node,
			"discard": "unmap", "read-only": d.readOnly}}}},
		resize(i, d.size),
		{Execute: "blockdev-del", Arguments: args{"node-name": oldNode}},
	}
	if d.readOnly {
		out = slices.DeleteFunc(out, func(c command) bool { return c.Execute == "block_resize" })
	}
	if old.hasFile {
		out = append(out, command{Execute: "remove-fd", Arguments: args{"fdset-id": old.set}})
	}
	return out
}
