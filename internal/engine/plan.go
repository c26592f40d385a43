package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aegis/internal/config"
	"aegis/internal/egress"
	"aegis/internal/fault"
	"aegis/internal/image"
	"aegis/internal/instance"
	"aegis/internal/store"
	"aegis/internal/template"
	"aegis/internal/wire"
)

// plan is one start, checked: it can be carried out without asking anybody.
type plan struct {
	launch   instance.Launch
	boots    instance.Boots // holds secrets
	backend  Backend
	files    Files
	versions map[string]string
	disk     int64
	rec      store.Record // as it was planned
	order    *order       // of a template of this VM; nil: there is none

	origin   string             // what the start is made from; the rest is set by choose
	template *template.Template // held; nil of a cold start
	pooled   *pooled            // of a start from the pool

	stages wire.Stages // how long each step took; of one goroutine at a time
}

// plan checks what a start needs and changes nothing.
func (e *Engine) plan(rec store.Record) (*plan, error) {
	spec := rec.Spec
	if err := checkWorkspace(spec.Workspace); err != nil {
		return nil, err
	}
	backend, err := e.Assets.Backend(spec.Backend, spec.Platform)
	if err != nil {
		return nil, err
	}
	files, err := e.files(backend, rec)
	if err != nil {
		return nil, err
	}
	if len(command(spec, files)) == 0 {
		return nil, fault.New(fault.Invalid, "command", "find the command", "the image has none of its own, and none is given behind --")
	}
	if err := checkSpace(e.Home.Dir); err != nil {
		return nil, err
	}
	secrets, versions, err := e.secrets(spec.Secrets)
	if err != nil {
		return nil, err
	}
	run := instance.NewRunID()
	home := e.Home.Instance(rec.ID)
	p := &plan{backend: backend, files: files, versions: versions, disk: spec.Disk, rec: rec, stages: wire.Stages{}}
	p.launch = instance.Launch{
		Run: run, RunDir: e.Home.Run(run).Dir,
		Backend: backend.Name, Arch: backend.Arch, Accelerator: backend.Accelerator, Confinement: backend.Confinement, Kernel: files.Kernel, Initrd: files.Initrd, Harness: files.Harness, Base: files.Base, BaseType: files.BaseType,
		CPUs: spec.CPUs, Memory: spec.Memory, BootTimeout: e.Config.BootTimeout,
		Assignment: &instance.Assignment{Instance: rec.ID, LogDir: home.Logs(), LogSize: e.Config.LogSize, Disk: home.Disk(), Discard: spec.Ephemeral, Workspace: spec.Workspace, Ports: guestPorts(spec)},
	}
	if spec.Net != egress.ModeNone {
		p.launch.NIC = true
		p.launch.Assignment.Net = &instance.Net{Mode: spec.Net, AllowHosts: spec.AllowHosts, AllowCIDRs: spec.AllowCIDRs}
	}
	p.order = e.order(spec, p)
	p.boots.Start = start(rec, files, secrets)
	p.boots.Secrets = slices.Sorted(maps.Keys(secrets))
	return p, nil
}

// files are those of the image that the instance was made from: its disk lies over that
// one, whatever the name has come to mean. The default image is what set-up makes; where
// it has gone or is damaged, the one that took its place does.
func (e *Engine) files(backend Backend, rec store.Record) (Files, error) {
	if rec.Image != "" {
		files, err := e.Assets.Files(e.ctx, backend, rec.Image)
		if err == nil || rec.Spec.Image != "" && rec.Spec.Image != image.DefaultName {
			return files, err
		}
	}
	return e.Assets.Files(e.ctx, backend, rec.Spec.Image)
}

// guestPorts are the exposed ones.
func guestPorts(spec instance.Spec) []uint16 {
	var ports []uint16
	for _, p := range spec.Ports {
		ports = append(ports, p.Guest)
	}
	return ports
}

// start is the message that makes a VM this instance.
func start(rec store.Record, files Files, secrets map[string][]byte) wire.Start {
	spec := rec.Spec
	seed := make([]byte, 32)
	rand.Read(seed)
	env := maps.Clone(files.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, spec.Env)
	for name, value := range secrets {
		env[name] = string(value)
	}
	s := wire.Start{
		Seed: seed, Clock: wire.Clock{UnixNano: time.Now().UnixNano()}, Hostname: spec.Name, MachineID: machineID(rec.ID),
		Root:    wire.Root{Base: instance.SerialBase, Disk: instance.SerialDisk, BaseType: files.BaseType},
		BaseEnv: env,
		Main:    wire.Process{ID: wire.MainID, Args: command(spec, files), Dir: workdir(spec, files), User: spec.User, TTY: spec.TTY},
	}
	if s.Main.User == "" {
		s.Main.User = files.User
	}
	if spec.Workspace != nil {
		s.Workspace = &wire.Workspace{ReadOnly: spec.Workspace.ReadOnly}
	}
	s.Self = self(rec)
	return s
}

// self is what the instance may know of itself, without the host's side of it.
func self(rec store.Record) *wire.Self {
	spec := rec.Spec
	s := &wire.Self{ID: rec.ID, Name: spec.Name, Image: spec.Image, CPUs: spec.CPUs, Memory: spec.Memory, Ports: []wire.SelfPort{}, Net: spec.Net,
		PauseAfter: config.FormatTimeout(spec.PauseAfter), StopAfter: config.FormatTimeout(spec.StopAfter)}
	for _, p := range spec.Ports {
		s.Ports = append(s.Ports, wire.SelfPort{Guest: p.Guest, Protocol: p.Protocol})
	}
	return s
}

// command is what runs: as docker does, what was given replaces the image's CMD
// and stands behind its ENTRYPOINT.
func command(spec instance.Spec, files Files) []string {
	if len(spec.Command) > 0 {
		return slices.Concat(files.Entrypoint, spec.Command)
	}
	return slices.Concat(files.Entrypoint, files.Cmd)
}

// workdir is where it runs: in a workspace that was given, else where the image says, and
// where that says nothing in the one that a run is given for itself.
func workdir(spec instance.Spec, files Files) string {
	switch w := spec.Workspace; {
	case spec.Workdir != "":
		return spec.Workdir
	case w != nil && (!w.Temporary || files.Workdir == ""):
		return "/workspace"
	}
	return files.Workdir
}

// machineID derives machine-id(5) from the instance's ID: the same at each start.
func machineID(id string) string {
	var b [16]byte
	copy(b[:], id[len(id)-12:])
	return hex.EncodeToString(b[:])
}

// secrets opens the named values; "*" is all there are.
func (e *Engine) secrets(names []string) (map[string][]byte, map[string]string, error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	all, err := e.Secrets.Versions()
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(names, "*") {
		names = slices.Concat(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "*" }), slices.Collect(maps.Keys(all)))
	}
	values, err := e.Secrets.Get(names...)
	if err != nil {
		return nil, nil, err
	}
	versions := map[string]string{}
	for name := range values {
		versions[name] = all[name]
	}
	return values, versions, nil
}

// checkWorkspace refuses a directory that cannot be served.
func checkWorkspace(w *instance.Workspace) error {
	if w == nil {
		return nil
	}
	const what = "use the workspace"
	info, err := os.Stat(w.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Workspace, w.Path, what, "%s does not exist", w.Path)
	case err != nil:
		return fault.New(fault.Workspace, w.Path, what, "%w", err)
	case !info.IsDir():
		return fault.New(fault.Workspace, w.Path, what, "%s is not a directory", w.Path)
	}
	dir, err := os.Open(w.Path)
	if err != nil {
		return fault.New(fault.Workspace, w.Path, what, "%w", err)
	}
	return dir.Close()
}

// makeDisk gives an instance its writable layer and its log's directory, once.
func (e *Engine) makeDisk(ctx context.Context, p *plan) error {
	to := p.launch.Assignment
	if err := os.MkdirAll(to.LogDir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(to.Disk); err == nil {
		return nil
	}
	if p.pooled != nil {
		err := p.pooled.giveDisk(to.Disk, p.disk, !to.Discard)
		if to.Mounted = err == nil; to.Mounted {
			return nil
		}
		if p.order.pooledOnly {
			return fmt.Errorf("take the waiting VM's disk: %w", err)
		}
	}
	if err := e.Assets.Disk(ctx, to.Disk, p.disk); err != nil {
		os.Remove(to.Disk)
		return fault.New(fault.As(err).Kind, filepath.Base(to.Disk), "make the disk", "%w", err)
	}
	return nil
}
