// Package all names every backend. It alone imports them, so that adding one is a
// line here. The shim boots with what Find gives; the daemon only probes.
package all

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"aegis/internal/accel"
	"aegis/internal/fault"
	"aegis/internal/vmm"
	"aegis/internal/vmm/firecracker"
	"aegis/internal/vmm/krun"
	"aegis/internal/vmm/qemu"
)

// measured asks for the accelerator once a process.
var measured = sync.OnceValue(func() accel.Result { return accel.Measure(context.Background()) })

// Accelerator is what package accel found, measured once a process.
func Accelerator() accel.Result { return measured() }

// Backends lists every backend for guests of an architecture (as GOARCH), the preferred
// ones first. It measures nothing.
func Backends(arch string) []vmm.Backend {
	return backends(arch, func() string {
		if measured().Usable {
			return string(qemu.Hardware)
		}
		return string(qemu.TCG)
	})
}

// backends are those of Backends. Only an emulator runs another architecture's guests.
func backends(arch string, accelerator func() string) []vmm.Backend {
	if arch != runtime.GOARCH {
		return []vmm.Backend{qemu.Foreign(arch)}
	}
	kvm := func() error {
		if accelerator() == string(qemu.KVM) {
			return nil
		}
		return fmt.Errorf("it needs KVM: %s", measured().Reason)
	}
	// libkrun comes last, though it is faster than QEMU, until all of the end-to-end tests
	// were seen to pass with it.
	return []vmm.Backend{
		firecracker.New(kvm),
		qemu.Lazy(func() qemu.Accel { return qemu.Accel(accelerator()) }),
		krun.New(kvm),
	}
}

// Find gives the backend of a name for guests of an architecture; a fault.Invalid lists
// the names there are.
func Find(name, arch string) (vmm.Backend, error) { return find(Backends(arch), name) }

// On gives the backend of a name with an accelerator that the daemon has measured,
// so that a shim does not measure again.
func On(name, arch, accelerator string) (vmm.Backend, error) {
	return find(backends(arch, func() string { return accelerator }), name)
}

// Install is the command that brings the monitor which runs everywhere.
func Install(arch string) string { return qemu.Install(arch) }

func find(backends []vmm.Backend, name string) (vmm.Backend, error) {
	var names []string
	for _, b := range backends {
		if b.Name() == name {
			return b, nil
		}
		names = append(names, b.Name())
	}
	return nil, fault.New(fault.Invalid, name, fmt.Sprintf("find backend %q", name), "the backends are %s", strings.Join(names, ", "))
}

// Verdict says why a backend is or is not chosen.
type Verdict struct {
	Name   string
	Usable bool // Probe found nothing against it
	Chosen bool
	Reason string // one sentence
	Build  string // of a usable one: its name and version, such as "firecracker-1.16.1"
	Caps   vmm.Caps
}

// Version is what VMs of a backend that were made ahead are bound to: when it changes,
// they are not to be used any more. A backend that has none is an error.
func Version(ctx context.Context, b vmm.Backend) (string, error) {
	if s, ok := b.Snapshots(); ok {
		return s.Version(ctx)
	}
	if b.Name() == "libkrun" {
		return krun.Version()
	}
	return "", fmt.Errorf("%s makes nothing ahead", b.Name())
}

// build is the name and version of a monitor, or nothing: its Version without the part
// that only a machine can read.
func build(ctx context.Context, b vmm.Backend) string {
	version, err := Version(ctx, b)
	if err != nil {
		return ""
	}
	return version[:max(0, strings.LastIndexByte(version, '-'))]
}

// Unfiltered says whether Firecracker, which should have filters of system calls of its
// own, seems to have none.
func Unfiltered() (bool, error) { return firecracker.Unfiltered() }

// Retranslates says whether QEMU would be quicker in a newer version, where guests are
// emulated.
func Retranslates(ctx context.Context, arch string) (bool, error) {
	return qemu.Retranslates(ctx, arch)
}

// probeTime bounds the probe of one backend.
const probeTime = 15 * time.Second

// Choose probes every backend for guests of an architecture and takes the first usable
// one, in the order of Backends. With none usable it is a fault.Backend, and the
// verdicts say why.
func Choose(ctx context.Context, arch string) (vmm.Backend, []Verdict, error) {
	return choose(ctx, Backends(arch))
}

func choose(ctx context.Context, backends []vmm.Backend) (vmm.Backend, []Verdict, error) {
	var chosen vmm.Backend
	var verdicts []Verdict
	for _, b := range backends {
		v := Verdict{Name: b.Name(), Caps: b.Caps()}
		probe, cancel := context.WithTimeout(ctx, probeTime)
		err := b.Probe(probe)
		if err == nil {
			v.Build = build(probe, b)
		}
		cancel()
		switch {
		case err != nil:
			v.Reason = err.Error()
		case chosen != nil:
			v.Usable, v.Reason = true, chosen.Name()+" is preferred"
		default:
			chosen = b
			v.Usable, v.Chosen, v.Reason = true, true, "the first that works here"
		}
		verdicts = append(verdicts, v)
	}
	if chosen == nil {
		return nil, verdicts, fault.New(fault.Backend, "", "choose a backend", "none works here: %s", reasons(verdicts))
	}
	return chosen, verdicts, nil
}

func reasons(verdicts []Verdict) string {
	var out []string
	for _, v := range verdicts {
		out = append(out, v.Name+": "+v.Reason)
	}
	return strings.Join(out, "; ")
}
