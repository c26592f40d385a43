package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/confine"
	"aegis/internal/engine"
	"aegis/internal/fault"
	"aegis/internal/image"
	"aegis/internal/instance"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/template"
	"aegis/internal/vmm"
	"aegis/internal/vmm/all"
)

// assets finds what VMs are made from: a backend that works here, a kernel with an
// initramfs, a root image, blank disks.
type assets struct {
	home   paths.Home
	config config.Config
	log    *slog.Logger

	digests template.Digests // of kernels and archives

	choices map[string]func() choice // by platform; kept once it was good: the probes take time
	found   func() confine.Found     // what this machine allows, asked for once

	turns turns // of pulls, by the image's name

	mu     sync.Mutex // one set-up at a time
	initrd sync.Mutex
	blank  sync.RWMutex // held for reading while a blank disk is made and copied
}

// choice is which backend is the default and why.
type choice struct {
	backend  vmm.Backend
	verdicts []all.Verdict
	kvm      bool // usable
	err      error
}

// probeTimeout bounds all probes of backends together.
const probeTimeout = 15 * time.Second

func newAssets(home paths.Home, cfg config.Config, log *slog.Logger) *assets {
	a := &assets{home: home, config: cfg, log: log, choices: map[string]func() choice{}}
	for _, platform := range instance.Platforms {
		a.choices[platform] = keepGood(func() choice {
			ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
			defer cancel()
			c := choice{kvm: all.Accelerator().Usable}
			c.backend, c.verdicts, c.err = all.Choose(ctx, instance.Arch(platform))
			return c
		})
	}
	a.found = sync.OnceValue(func() confine.Found { return findRung(home.Dir) })
	return a
}

// choice is that of the host's own platform.
func (a *assets) choice() choice { return a.choices[instance.Host]() }

// keepGood asks until there is a good choice, which it keeps: whoever installs what
// was missing need not start the daemon again.
func keepGood(ask func() choice) func() choice {
	var mu sync.Mutex
	var kept choice
	return func() choice {
		mu.Lock()
		defer mu.Unlock()
		if kept.backend == nil || kept.err != nil {
			kept = ask()
		}
		return kept
	}
}

// Backend is the named one, or the best that works here for guests of a platform.
func (a *assets) Backend(name, platform string) (engine.Backend, error) {
	arch := instance.Arch(platform)
	c := a.choices[cmp.Or(platform, instance.Host)]()
	backend := c.backend
	if name != "" {
		var err error
		if backend, err = all.Find(name, arch); err != nil {
			return engine.Backend{}, err
		}
		if err := verdict(c, name); err != nil {
			return engine.Backend{}, err
		}
	} else if c.err != nil {
		return engine.Backend{}, c.err
	}
	rung, err := chooseRung(a.config.Confinement, a.found)
	if err != nil {
		return engine.Backend{}, err
	}
	caps := backend.Caps()
	return engine.Backend{Name: backend.Name(), Arch: arch, Accelerator: caps.Accelerator, Confinement: string(rung), Hardware: caps.Hardware,
		Snapshots: caps.Snapshots, MaxCPUs: caps.MaxCPUs, MinMemory: caps.MinMemory}, nil
}

// backends are all there are, with the reasons for the choice.
func (a *assets) backends() []client.Backend {
	out := []client.Backend{}
	c := a.choice()
	for _, v := range c.verdicts {
		b := client.Backend{Name: v.Name, Usable: v.Usable, Build: v.Build, Reason: v.Reason, Fix: mend(v, a.config.Backend, c.kvm)}
		switch {
		case a.config.Backend == v.Name:
			b.Reason = "the configuration says so"
			if !v.Usable {
				b.Reason += ", but: " + v.Reason
			}
		case a.config.Backend != "" && v.Chosen:
			b.Reason = "the configuration says " + a.config.Backend
		}
		out = append(out, b)
	}
	return out
}

// verdict is why a named backend cannot be used, or nil.
func verdict(c choice, name string) error {
	for _, v := range c.verdicts {
		if v.Name == name && !v.Usable {
			return fault.New(fault.Backend, name, "use backend "+name, "%s", v.Reason)
		}
	}
	return nil
}

// Files are the kernel, the initramfs and the root for a VM. Sizes are checked
// each time; what set-up has not made is a fault.AssetMissing.
func (a *assets) Files(ctx context.Context, backend engine.Backend, ref string) (engine.Files, error) {
	want := instance.Platform(backend.Arch)
	img, err := image.Open(a.home.Images(), ref, want)
	if err != nil {
		return engine.Files{}, err
	}
	if !strings.HasPrefix(img.Platform+"/", want+"/") { // of any variant
		return engine.Files{}, fault.New(fault.ImageMissing, ref, "open image "+ref, "it is made for %s, and the instance is for %s", img.Platform, want)
	}
	c := img.Config
	files := engine.Files{Base: img.Path, BaseType: img.Type, Digest: img.Digest,
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: c.User, Workdir: c.Workdir}
	return files, a.bootFiles(ctx, backend, &files)
}

// bootFiles are those of a VM that do not come from its image.
func (a *assets) bootFiles(ctx context.Context, backend engine.Backend, files *engine.Files) (err error) {
	if b, err := all.Find(backend.Name, backend.Arch); err == nil && b.Caps().OwnKernel {
		files.Harness, err = companion(harnessProgram(backend.Arch))
		return err
	}
	k, err := kernel.Open(a.home.Kernels(), backend.Arch)
	if err != nil {
		return err
	}
	files.Kernel = k.Image
	files.Initrd, err = a.initramfs(ctx, k)
	return err
}

// initramfs is the one with the harness of this Aegis. It is made when it is
// missing, so that an upgrade needs no set-up.
func (a *assets) initramfs(ctx context.Context, k kernel.Kernel) (string, error) {
	a.initrd.Lock()
	defer a.initrd.Unlock()
	harness, err := companion(harnessProgram(k.Arch))
	if err != nil {
		return "", err
	}
	return kernel.Initrd(ctx, k, harness, a.home.Kernels())
}

// harnessProgram is the program of a guest's first process. Those of other architectures
// than the host's have it in their names.
func harnessProgram(arch string) string {
	if arch == runtime.GOARCH {
		return "aegis-harness"
	}
	return "aegis-harness-" + arch
}

// Disk makes an instance's writable layer.
func (a *assets) Disk(ctx context.Context, path string, size int64) error {
	a.blank.RLock()
	defer a.blank.RUnlock()
	blank, err := image.Blank(ctx, a.home.Blank(), size)
	if err != nil {
		return err
	}
	return image.Clone(blank, path)
}

// report is told what set-up is doing. done and total are bytes; total may be 0.
type report func(step, message string, done, total int64)

// setup makes what instances lack; what is there it checks. One at a time.
func (a *assets) setup(ctx context.Context, instances client.SetupFor, tell report) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	platform := instances.Platform
	if err := a.usable(platform); err != nil {
		return err
	}
	k, err := kernel.Ensure(ctx, a.home.Kernels(), instance.Arch(platform), func(msg string) { tell("kernel", msg, 0, 0) })
	if err != nil {
		return err
	}
	tell("kernel", "Linux "+k.Version, 0, 0)
	if _, err := a.initramfs(ctx, k); err != nil {
		return err
	}
	if err := a.image(ctx, instances, tell); err != nil {
		return err
	}
	if _, err := image.Blank(ctx, a.home.Blank(), a.config.Disk); err != nil {
		return err
	}
	tell("disk", "a blank disk of "+config.HumanSize(a.config.Disk), 0, 0)
	return nil
}

// image makes Aegis's own for instances that name it or none, and brings the configured one
// for these; any other one is its user's to bring.
func (a *assets) image(ctx context.Context, instances client.SetupFor, tell report) error {
	if instances.BringsImage() {
		return nil
	}
	img, err := image.Ensure(ctx, a.home.Images(), a.home.Stage(), instances.Platform, tell)
	if err != nil {
		return err
	}
	tell(imageStep, "the default image, "+config.HumanSize(img.Size), img.Size, img.Size)
	name := a.config.Image
	if instances.Image != "" || name == "" || name == image.DefaultName {
		return nil
	}
	pull := client.PullImage{Platform: instances.Platform}
	if _, err := a.pull(ctx, pull, func(msg string, done, total int64) { tell(imageStep, name+", "+msg, done, total) }); err != nil {
		return err
	}
	tell(imageStep, name, 0, 0)
	return nil
}

// usable reports why no instance of a platform could be started with what is configured.
func (a *assets) usable(platform string) error {
	name := a.config.Backend
	if instance.Arch(platform) != runtime.GOARCH {
		name = ""
	}
	_, err := a.Backend(name, platform)
	return err
}

// platforms are those of which instances could be started that name no image, and those of
// which any could whose image is there. err is why the host's is not among the first.
func (a *assets) platforms(ctx context.Context) (ready, kernels []string, err error) {
	for _, platform := range instance.Platforms {
		backend := engine.Backend{Arch: instance.Arch(platform)}
		_, lacks := a.Files(ctx, backend, a.config.Image)
		if lacks == nil {
			ready = append(ready, platform)
		} else if platform == instance.Host {
			err = lacks
		}
		if lacks == nil || a.bootFiles(ctx, backend, &engine.Files{}) == nil {
			kernels = append(kernels, platform)
		}
	}
	return ready, kernels, err
}
