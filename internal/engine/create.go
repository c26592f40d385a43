package engine

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"time"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/egress"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
	"aegis/internal/undo"
)

// Create makes a STOPPED instance that no connection wakes before its first start.
// Everything that can be known to be wrong is refused here, and leaves nothing.
func (e *Engine) Create(ctx context.Context, c client.Create) (client.Instance, error) {
	var u undo.Stack
	defer u.Run()
	if e.isClosing() {
		return client.Instance{}, fault.New(fault.Unreachable, c.Name, "create the instance", "the daemon is going down")
	}
	rec := store.Record{ID: instance.NewID(), State: instance.Stopped, UserStopped: true, CreatedAt: time.Now().UTC()}
	var err error
	if rec.Spec, err = e.spec(c); err != nil {
		return client.Instance{}, named(c.Name, err)
	}
	var settle func(keep bool)
	if rec.Spec.Workspace, settle, err = e.workspace(rec, c.Workspace); err != nil {
		return client.Instance{}, named(c.Name, err)
	}
	u.Add(func() { settle(false) })
	p, err := e.plan(rec)
	if err != nil {
		return client.Instance{}, named(c.Name, err)
	}
	rec.Image = p.files.Digest
	if err := e.vacated(ctx, rec.Spec.Name, rec.Spec.Ports); err != nil {
		return client.Instance{}, named(c.Name, err)
	}
	if c.Recreate {
		if err := e.replace(ctx, &rec.Spec); err != nil {
			return client.Instance{}, named(c.Name, err)
		}
	}
	var claim Claim
	if len(rec.Spec.Ports) > 0 {
		if claim, err = e.Ports.Claim(rec.Spec.Ports); err != nil {
			return client.Instance{}, named(c.Name, err)
		}
		u.Add(func() { claim.Close() })
		rec.Spec.Ports = claim.Ports()
	}
	if err := e.enrol(ctx, &rec, c.Name == ""); err != nil {
		return client.Instance{}, named(c.Name, err)
	}
	e.events.emit(eventCreated, rec, rec.CreatedAt)
	a := e.spawn(rec, claim, func(*actor) {})
	u.Keep()
	settle(true)
	return e.view(ctx, a)
}

// enrol saves a new record; a generated name that is taken is generated again.
func (e *Engine) enrol(ctx context.Context, rec *store.Record, generate bool) error {
	const tries = 20
	for range tries {
		if generate {
			rec.Spec.Name = instance.NewName()
		}
		err := e.Store.Put(ctx, *rec)
		if !generate || !fault.Is(err, fault.NameTaken) {
			return err
		}
	}
	rec.Spec.Name = instance.NewName() + rec.ID[len(rec.ID)-5:]
	return e.Store.Put(ctx, *rec)
}

// named says which instance a refusal is about.
func named(name string, err error) error {
	f := *fault.As(err)
	what := "create instance " + quote(name)
	if name == "" {
		what = "create an instance"
	}
	if f.What != "" && f.Kind != fault.NameTaken {
		f.Why = f.What + ": " + f.Why
	}
	f.What = what
	return &f
}

// spec fills the defaults in and checks every value.
func (e *Engine) spec(c client.Create) (instance.Spec, error) {
	cfg := e.Config
	s := instance.Spec{
		Name: c.Name, Image: c.Image, Command: c.Command, Workdir: c.Workdir, User: c.User,
		Env: maps.Clone(c.Env), Secrets: c.Secrets, Net: orDefault(c.Net, cfg.Net), AllowHosts: c.AllowHosts, AllowCIDRs: c.AllowCIDRs, Labels: c.Labels,
		CPUs: orDefault(c.CPUs, cfg.CPUs), Memory: orDefault(c.Memory, cfg.Memory), Disk: orDefault(c.Disk, cfg.Disk),
		Backend: orDefault(c.Backend, cfg.Backend), PauseAfter: cfg.PauseAfter, StopAfter: cfg.StopAfter,
		Restart: orDefault(c.Restart, restartNo), Ephemeral: c.Ephemeral, TTY: c.TTY, NoTemplate: c.NoTemplate,
	}
	if s.Image == "" {
		s.Image = cfg.Image
	}
	var err error
	if s.Platform, err = instance.ParsePlatform(c.Platform); err != nil {
		return s, err
	}
	if s.Platform != instance.Host {
		s.Backend = c.Backend // what is configured is for the host's own
	}
	if err := e.checkNames(c, s); err != nil {
		return s, err
	}
	if err := e.checkSizes(s); err != nil {
		return s, err
	}
	if s.PauseAfter, err = timeout("pause-after", c.PauseAfter, s.PauseAfter); err != nil {
		return s, err
	}
	if s.StopAfter, err = timeout("stop-after", c.StopAfter, s.StopAfter); err != nil {
		return s, err
	}
	s.Ports, err = exposed(c.Expose)
	return s, err
}

func orDefault[T comparable](given, otherwise T) T {
	var zero T
	if given == zero {
		return otherwise
	}
	return given
}

// checkNames refuses names and words that no instance can have.
func (e *Engine) checkNames(c client.Create, s instance.Spec) error {
	const what = "check the instance"
	if s.Name != "" {
		if err := instance.CheckName(s.Name); err != nil {
			return err
		}
	}
	if _, err := egress.Parse(s.Net, s.AllowHosts, s.AllowCIDRs); err != nil {
		return err
	}
	if !slices.Contains([]string{restartNo, restartOnFailure, restartAlways}, s.Restart) {
		return fault.New(fault.Invalid, "restart", what, "%.40q is no restart policy: no, on-failure or always", s.Restart)
	}
	for name := range s.Env {
		if !validEnv(name) {
			return fault.New(fault.Invalid, "env", what, "%.60q is not the name of an environment variable", name)
		}
	}
	for _, arg := range s.Command {
		if slices.Contains([]byte(arg), 0) {
			return fault.New(fault.Invalid, "command", what, "an argument of the command holds a zero byte")
		}
	}
	if s.Workdir != "" && s.Workdir[0] != '/' {
		return fault.New(fault.Invalid, "workdir", what, "working directory %.80q is not absolute", s.Workdir)
	}
	return nil
}

func validEnv(name string) bool {
	for _, b := range []byte(name) {
		if b == '=' || b == 0 {
			return false
		}
	}
	return name != ""
}

// Bounds of an instance's size, in bytes.
const (
	minDisk = 64 << 20
	maxDisk = 1 << 40
)

// checkSizes refuses what this machine or its monitor cannot give.
func (e *Engine) checkSizes(s instance.Spec) error {
	const what = "check the instance"
	backend, err := e.Assets.Backend(s.Backend, s.Platform)
	if err != nil {
		return err
	}
	total, err := hostMemory()
	if err != nil {
		return err
	}
	switch {
	case s.Memory < backend.MinMemory:
		asked, least := config.HumanSizes(s.Memory, backend.MinMemory)
		return fault.New(fault.Invalid, "memory", what, "%s of memory is too little: backend %s needs %s", asked, backend.Name, least)
	case s.Memory > total:
		asked, most := config.HumanSizes(s.Memory, total)
		return fault.New(fault.Invalid, "memory", what, "%s of memory is more than this machine's %s", asked, most)
	case s.Memory%(1<<20) != 0:
		return fault.New(fault.Invalid, "memory", what, "%d bytes of memory are not whole MiB", s.Memory)
	case s.CPUs < 1 || s.CPUs > min(runtime.NumCPU(), backend.MaxCPUs):
		return fault.New(fault.Invalid, "cpus", what, "%d processors: this machine offers 1 to %d", s.CPUs, min(runtime.NumCPU(), backend.MaxCPUs))
	case s.Disk < minDisk || s.Disk > maxDisk:
		asked, least := config.HumanSizes(s.Disk, minDisk)
		if s.Disk > maxDisk {
			asked, _ = config.HumanSizes(s.Disk, maxDisk)
		}
		return fault.New(fault.Invalid, "disk", what, "a disk of %s: it must have %s to %s", asked, least, config.HumanSize(maxDisk))
	}
	return nil
}

// minPause is the shortest idle time: a shim reports activity every half second.
const minPause = instance.Timeout(time.Second)

func timeout(key, given string, otherwise instance.Timeout) (instance.Timeout, error) {
	if given == "" {
		return otherwise, nil
	}
	t, err := config.ParseTimeout(given)
	if err == nil && t != 0 && t < minPause {
		err = errors.New("it must be at least one second, or never")
	}
	if err != nil {
		return 0, fault.New(fault.Invalid, key, "check --"+key, "%w", err)
	}
	return t, nil
}

// exposed parses every --expose and refuses a guest port that comes twice.
func exposed(specs []string) ([]instance.Port, error) {
	var ports []instance.Port
	for _, spec := range specs {
		p, err := instance.ParseExpose(spec)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(ports, func(o instance.Port) bool { return o.Guest == p.Guest }) {
			return nil, fault.New(fault.Invalid, spec, "expose "+quote(spec), "guest port %d is exposed twice", p.Guest)
		}
		ports = append(ports, p)
	}
	return ports, nil
}
