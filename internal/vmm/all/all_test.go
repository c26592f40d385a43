package all

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/vmm"
)

// stub is a backend of which only name and probe matter.
type stub struct {
	vmm.Backend
	name string
	err  error
}

func (s stub) Name() string                { return s.name }
func (s stub) Caps() vmm.Caps              { return vmm.Caps{Accelerator: s.name} }
func (s stub) Probe(context.Context) error { return s.err }

func (s stub) Snapshots() (vmm.Snapshotter, bool) { return versioned{name: s.name}, s.name != "c" }

// versioned is a snapshotter that has only a version.
type versioned struct {
	vmm.Snapshotter
	name string
}

func (v versioned) Version(context.Context) (string, error) { return v.name + "-1.2-abcdef", nil }

func TestChooseTakesTheFirstThatWorks(t *testing.T) {
	broken := stub{name: "a", err: errors.New("a is not on PATH")}
	b, verdicts, err := choose(t.Context(), []vmm.Backend{broken, stub{name: "b"}, stub{name: "c"}})
	if err != nil || b.Name() != "b" {
		t.Fatalf("chose %v, %v", b, err)
	}
	want := []Verdict{
		{"a", false, false, "a is not on PATH", "", vmm.Caps{Accelerator: "a"}},
		{"b", true, true, "the first that works here", "b-1.2", vmm.Caps{Accelerator: "b"}},
		{"c", true, false, "b is preferred", "", vmm.Caps{Accelerator: "c"}},
	}
	for i, v := range verdicts {
		if v != want[i] {
			t.Errorf("verdict %d is %+v, want %+v", i, v, want[i])
		}
	}
	_, verdicts, err = choose(t.Context(), []vmm.Backend{broken})
	if !fault.Is(err, fault.Backend) || len(verdicts) != 1 {
		t.Errorf("with none usable: %v, %v", verdicts, err)
	}
}

func TestFind(t *testing.T) {
	for _, b := range Backends(runtime.GOARCH) {
		if found, err := Find(b.Name(), runtime.GOARCH); err != nil || found.Name() != b.Name() {
			t.Errorf("Find(%q) = %v, %v", b.Name(), found, err)
		}
	}
	if _, err := Find("bhyve", runtime.GOARCH); !fault.Is(err, fault.Invalid) {
		t.Errorf("Find of an unknown name: %v", err)
	}
}

// TestForeignGuestsAreEmulated: whatever the host's processor can do, it does nothing for
// another architecture's guests.
func TestForeignGuestsAreEmulated(t *testing.T) {
	const arch = "riscv64"
	if list := Backends(arch); len(list) != 1 || list[0].Name() != "qemu" {
		t.Fatalf("the backends are %v", list)
	}
	b, err := On("qemu", arch, "kvm")
	if err != nil {
		t.Fatal(err)
	}
	if c := b.Caps(); c.Accelerator != "tcg" || c.Hardware {
		t.Errorf("%+v", c)
	}
	if err := b.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), arch) {
		t.Errorf("guests that no emulator is known for: %v", err)
	}
	if _, err := Find("firecracker", arch); !fault.Is(err, fault.Invalid) {
		t.Errorf("Firecracker for another architecture: %v", err)
	}
}

// TestFirecrackerIsPreferred holds that it is the default where KVM works and it is on PATH
// in a version that does, and only there.
func TestFirecrackerIsPreferred(t *testing.T) {
	if runtime.GOOS+runtime.GOARCH != "linuxamd64" {
		t.Skip("pending: it runs on Linux on amd64 only, so far")
	}
	good, old, none := pretend(t, "1.16.1"), pretend(t, "1.16.0"), t.TempDir()
	for _, c := range []struct {
		accelerator, path string
		why               string // it is not used
	}{
		{"kvm", good, ""},
		{"kvm", old, "version 1.16.0 loses connections"},
		{"kvm", none, "firecracker is not on PATH"},
		{"tcg", good, "it needs KVM"},
	} {
		t.Setenv("PATH", c.path)
		list := backends(runtime.GOARCH, func() string { return c.accelerator })
		list[1] = stub{name: "qemu"} // there is none on that PATH
		chosen, verdicts, err := choose(t.Context(), list)
		if err != nil || (chosen.Name() == "firecracker") != (c.why == "") || chosen.Name() != "firecracker" && chosen.Name() != "qemu" {
			t.Errorf("with %+v: %v is chosen, %v", c, chosen.Name(), err)
		}
		if v := verdicts[0]; v.Usable != (c.why == "") || !strings.Contains(v.Reason, c.why) || v.Usable && v.Build != "firecracker-1.16.1" {
			t.Errorf("with %+v: %+v", c, v)
		}
		if caps := list[0].Caps(); caps.Accelerator != "kvm" || !caps.Hardware || caps.NIC {
			t.Errorf("%+v", caps)
		}
	}
}

// pretend is a directory with what says that it is Firecracker.
func pretend(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "firecracker"), []byte("#!/bin/sh\necho Firecracker v"+version+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
