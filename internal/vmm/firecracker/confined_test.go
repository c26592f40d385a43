package firecracker

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aegis/internal/confine"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm"
)

// TestConfinedMonitor boots a VM on each rung, saves it, restores it and replaces its
// disk, and looks at what holds the monitor. It needs a /dev/kvm that opens, not one that
// is quick: the guest need not get anywhere.
func TestConfinedMonitor(t *testing.T) {
	image, initrd := bootable(t)
	backend := New(func() error { return nil })
	if err := backend.Probe(t.Context()); err != nil {
		t.Skipf("pending: firecracker can't run here: %v", err)
	}
	if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		t.Skipf("pending: firecracker can't run here: %v", err)
	} else {
		kvm.Close()
	}
	for _, rung := range confine.Rungs {
		t.Run(string(rung), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cfg := confinedConfig(t, rung)
			cfg.Kernel, cfg.Initrd, cfg.Template = image, initrd, t.TempDir()
			vm, err := backend.Boot(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			held(t, vm.PID(), rung)
			snapshots, _ := backend.Snapshots()
			if err := snapshots.Save(ctx, vm); err != nil {
				t.Fatal(err)
			}
			clone := confinedConfig(t, rung)
			restored, err := snapshots.Restore(ctx, cfg.Template, clone)
			if err != nil {
				t.Fatal(err)
			}
			defer restored.Close()
			held(t, restored.PID(), rung)
			other, err := os.OpenFile(disk(t, filepath.Dir(clone.Dir)), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := snapshots.Replace(ctx, restored, "disk", other); err != nil {
				t.Error(err)
			}
			restored.Close()
			if left, err := os.ReadDir(clone.Dir); err != nil || len(left) > 0 {
				t.Errorf("left in its directory: %v, %v", left, err)
			}
		})
	}
}

// bootable are a kernel and something in the place of an initramfs.
func bootable(t *testing.T) (image, initrd *os.File) {
	t.Helper()
	if os.Getenv(paths.EnvCache) == "" {
		t.Skip("pending: AEGIS_CACHE names no directory with a kernel (make test sets it)")
	}
	home, err := paths.Locate(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernel.Open(home.Kernels(), runtime.GOARCH)
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	if image, err = os.Open(k.Image); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	if initrd, err = os.Open(disk(t, t.TempDir())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { initrd.Close() })
	return image, initrd
}

// confinedConfig is a VM with a disk that is read, one that is written, and one without a file.
func confinedConfig(t *testing.T, rung confine.Rung) vmm.Config {
	t.Helper()
	top := t.TempDir()
	cfg := vmm.Config{Dir: filepath.Join(top, "vmm"), Confinement: string(rung), CPUs: 1, Memory: minMemory,
		Ports: []vmm.Port{vmm.PortControl}, Console: io.Discard, Log: t.Output()}
	if err := os.Mkdir(cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
		f, err := os.OpenFile(disk(t, top), flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cfg.Disks = append(cfg.Disks, vmm.Disk{Serial: fmt.Sprintf("disk-%d", flag), File: f, ReadOnly: flag == os.O_RDONLY})
	}
	cfg.Disks = append(cfg.Disks, vmm.Disk{Serial: "disk"})
	return cfg
}

// disk makes a small file.
func disk(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "disk")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4 << 20); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// held compares what a process is held by with its rung.
func held(t *testing.T, pid int, rung confine.Rung) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"} {
		if rung.On() && !strings.Contains(string(status), line) {
			t.Errorf("%s: its status lacks %q:\n%s", rung, line, status)
		}
	}
	own, _ := os.Readlink("/proc/self/ns/mnt")
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || (its != own) != rung.Namespaces() {
		t.Errorf("%s: its mounts are %s, ours %s, %v", rung, its, own, err)
	}
	if !rung.Namespaces() {
		return
	}
	seen, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range seen {
		if !strings.Contains("dev etc lib lib64 own proc root usr", entry.Name()) {
			t.Errorf("%s: it sees %s", rung, entry.Name())
		}
	}
}
