package vmmtest

import (
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"aegis/internal/vmm"
)

// template is one that several tests restore. They may not change it.
type template struct {
	dir   string
	base  string // the read-only disk's path
	snaps vmm.Snapshotter
	sums  map[string][sha256.Size]byte // of its files
}

// frozen is the word in the memory of the template's guest.
const frozen = "frozen"

// snapshots is the contract of vmm.Snapshotter. Booting takes longest, so one
// template serves all.
func snapshots(t *testing.T, backend vmm.Backend, assets Assets) {
	snaps, ok := backend.Snapshots()
	if ok != backend.Caps().Snapshots {
		t.Fatalf("Snapshots says %t and Caps the opposite", ok)
	}
	if !ok {
		t.Skipf("pending: %s has no templates", backend.Name())
	}
	tmpl := &template{dir: t.TempDir(), snaps: snaps}
	t.Run("a template is saved", func(t *testing.T) {
		s := &suite{T: t, backend: backend, assets: assets}
		before := descriptors(t)
		saved(s, tmpl)
		s.nothingLeft(before)
	})
	if tmpl.sums == nil {
		return
	}
	for _, test := range []struct {
		name string
		run  func(*suite, *template)
	}{
		{"clones share nothing", clones},
		{"a disk is replaced", replaces},
		{"a damaged template starts nothing", damaged},
		{"close works while a template is restored", closesRestored},
		{"what can't be saved leaves nothing", unsaved},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, backend: backend, assets: assets}
			before := descriptors(t)
			test.run(s, tmpl)
			s.nothingLeft(before)
			if !same(sums(s, tmpl.dir), tmpl.sums) {
				t.Error("the template's files have changed")
			}
		})
	}
}

// shape is what the template and all its clones have.
func (s *suite) shape(base string) vmm.Config {
	s.Helper()
	cfg := s.config()
	cfg.Disks = []vmm.Disk{{Serial: "base", File: s.open(base, os.O_RDONLY), ReadOnly: true}, {Serial: "disk"}}
	if s.backend.Caps().NIC {
		cfg.NIC = &vmm.NIC{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1500}
	}
	return cfg
}

// clone is the configuration for Restore: with nothing that it doesn't need.
func (s *suite) clone(tmpl *template) vmm.Config {
	s.Helper()
	cfg := s.shape(tmpl.base)
	s.closeFiles(vmm.Config{Kernel: cfg.Kernel, Initrd: cfg.Initrd})
	cfg.Kernel, cfg.Initrd = nil, nil
	return cfg
}

// restore restores a clone and closes its files. It may run in any goroutine.
func (s *suite) restore(tmpl *template) (*booted, error) {
	s.Helper()
	return s.restoreOn(tmpl, "")
}

// restoreOn is restore of a clone whose monitor is held by that rung.
func (s *suite) restoreOn(tmpl *template, confinement string) (*booted, error) {
	s.Helper()
	cfg := s.clone(tmpl)
	cfg.Confinement = confinement
	vm, err := tmpl.snaps.Restore(s.Context(), tmpl.dir, cfg)
	s.closeFiles(cfg)
	if err != nil {
		return nil, err
	}
	return s.keep(vm, cfg), nil
}

func (s *suite) mustRestore(tmpl *template) (*booted, *control) {
	s.Helper()
	vm, err := s.restore(tmpl)
	if err != nil {
		s.Fatal(err)
	}
	return vm, s.take(vm, vmm.PortControl)
}

func saved(s *suite, tmpl *template) {
	tmpl.base = filepath.Join(filepath.Dir(tmpl.dir), "base")
	if err := errors.Join(os.WriteFile(tmpl.base, []byte("base"), 0o600), os.Truncate(tmpl.base, 1<<20)); err != nil {
		s.Fatal(err)
	}
	cfg := s.shape(tmpl.base)
	cfg.Template = tmpl.dir
	vm := s.boot(cfg)
	c := s.take(vm, vmm.PortControl)
	c.expect("ready")
	c.send("remember %s", frozen)
	c.expect("ok")
	if cfg.NIC != nil {
		c.send("frames")
		c.expect("ok")
		s.exchange(vm)
	}
	version, err := tmpl.snaps.Version(s.Context())
	if err != nil || version == "" {
		s.Errorf("Version is %q, %v", version, err)
	}
	if err := tmpl.snaps.Save(s.Context(), vm.VM); err != nil {
		s.Fatal(err)
	}
	if err := s.ended(vm); !errors.Is(err, vmm.ErrClosed) {
		s.Errorf("after Save Err is %v", err)
	}
	if again, err := tmpl.snaps.Version(s.Context()); err != nil || again != version {
		s.Errorf("Version was %q and is %q, %v", version, again, err)
	}
	if s.Failed() {
		return
	}
	tmpl.sums = sums(s, tmpl.dir)
}

// sums are the digests of a directory's files.
func sums(s *suite, dir string) map[string][sha256.Size]byte {
	s.Helper()
	out := map[string][sha256.Size]byte{}
	for _, name := range names(s, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			s.Fatal(err)
		}
		out[name] = sha256.Sum256(data)
	}
	return out
}

func names(s *suite, dir string) []string {
	s.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func same(a, b map[string][sha256.Size]byte) bool {
	for name, sum := range a {
		if b[name] != sum {
			return false
		}
	}
	return len(a) == len(b) && len(a) > 0
}

func clones(s *suite, tmpl *template) {
	rungs := append(slices.Clone(s.assets.Confinements), "", "")
	vms, controls := make([]*booted, len(rungs)), make([]*control, len(rungs))
	var wg sync.WaitGroup
	for i, rung := range rungs {
		wg.Go(func() {
			vm, err := s.restoreOn(tmpl, rung)
			if err != nil {
				s.Errorf("restore on %q: %v", rung, err)
			}
			vms[i] = vm
		})
	}
	wg.Wait()
	if s.Failed() {
		return
	}
	for i, vm := range vms {
		controls[i] = s.take(vm, vmm.PortControl)
		controls[i].send("recall")
		controls[i].expect(frozen)
		controls[i].send("remember clone%d", i)
		controls[i].expect("ok")
	}
	for i, c := range controls {
		c.send("recall")
		c.expect("clone" + string(rune('0'+i)))
		c.echo(big / 16)
		if vms[i].Pause(s.Context()) != nil || vms[i].Resume(s.Context()) != nil {
			s.Error("a clone can't be paused")
		}
		if s.backend.Caps().NIC {
			s.exchange(vms[i])
		}
	}
	other := s.take(vms[0], vmm.PortFS)
	other.send("hello")
	other.expect("hello")
	controls[0].send("poweroff")
	if err := s.ended(vms[0]); err != nil {
		s.Errorf("after a clone's power-off Err is %v", err)
	}
	if !strings.HasPrefix(controls[1].ask("read base"), "62617365") {
		s.Error("a clone doesn't read its base")
	}
}
