package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/image"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// view is what a client sees of an instance, now.
func (e *Engine) view(ctx context.Context, a *actor) (client.Instance, error) {
	var view client.Instance
	err := a.ask(ctx, func() error {
		now := time.Now()
		view = render(a.rec)
		view.AwakeBecause = a.awake(now)
		if at, on, ok := a.deadline(); ok && on == instance.Idle {
			view.PausesAt = moment(at)
		}
		return nil
	})
	return view, err
}

// render is the record in the words of the API.
func render(rec store.Record) client.Instance {
	spec := rec.Spec
	view := client.Instance{
		ID: rec.ID, Name: spec.Name, State: string(rec.State), Image: orDefault(spec.Image, image.DefaultName), Platform: orDefault(spec.Platform, instance.Host),
		Command: orEmpty(spec.Command), Workdir: workdir(spec, Files{Workdir: "/"}), User: spec.User,
		Env: maps.Clone(spec.Env), Secrets: orEmpty(spec.Secrets), Ports: ports(spec.Ports),
		CPUs: spec.CPUs, Memory: spec.Memory, Disk: spec.Disk, Net: spec.Net, AllowHosts: orEmpty(spec.AllowHosts), AllowCIDRs: orEmpty(spec.AllowCIDRs), Labels: maps.Clone(spec.Labels),
		Backend: rec.Backend, Accelerator: rec.Accelerator, Isolation: Isolation(rec.Accelerator), Confinement: rec.Confinement,
		PauseAfter: config.FormatTimeout(spec.PauseAfter), StopAfter: config.FormatTimeout(spec.StopAfter), Restart: spec.Restart,
		CreatedAt: rec.CreatedAt, StartedAt: moment(rec.StartedAt), StoppedAt: moment(rec.StoppedAt),
		Wakes: wakes(rec.Wakes),
	}
	if view.Env == nil {
		view.Env = map[string]string{}
	}
	if view.Labels == nil {
		view.Labels = map[string]string{}
	}
	if w := spec.Workspace; w != nil {
		view.Workspace = &client.Workspace{Path: w.Path, ReadOnly: w.ReadOnly}
	}
	if x := rec.Exit; x != nil {
		view.Exit = renderExit(x)
	}
	if time.Now().Before(rec.HeldUntil) {
		view.HeldUntil = moment(rec.HeldUntil)
	}
	return view
}

func renderExit(x *instance.Exit) *client.Exit {
	return &client.Exit{Code: x.Code, Signal: x.Signal, Reason: x.Reason, Error: x.Error, At: x.At}
}

// Isolation is what an accelerator makes of a VM: the processor isolates it, or
// an emulator, which is no boundary by itself.
func Isolation(accelerator string) string {
	if accelerator == "tcg" {
		return "emulated"
	}
	return "hardware"
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return slices.Clone(s)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func ports(in []instance.Port) []client.Port {
	out := make([]client.Port, 0, len(in))
	for _, p := range in {
		out = append(out, client.Port{Guest: int(p.Guest), IP: p.IP, Host: int(p.Host), Protocol: p.Protocol, URL: p.URL()})
	}
	return out
}

func wakes(in []store.Wake) []client.Wake {
	out := make([]client.Wake, 0, len(in))
	for _, w := range in {
		stages := map[string]float64{}
		for name, took := range w.Stages {
			stages[name] = milliseconds(took)
		}
		out = append(out, client.Wake{At: w.At, From: string(w.From), Origin: w.Origin, MS: milliseconds(w.Took), Stages: stages})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measure adds what takes more than a look at the record: memory, processor time,
// disk, and secrets that have changed.
func (e *Engine) measure(ctx context.Context, a *actor, view *client.Instance) {
	view.DiskUsed, _ = image.Used(e.Home.Instance(a.id).Disk())
	var life Life
	var used map[string]string
	var run string
	a.ask(ctx, func() error { life, used, run = a.life, a.rec.SecretVersions, a.rec.Run; return nil })
	if now, err := e.Secrets.Versions(); err == nil && life != nil {
		for name, version := range used {
			if now[name] != version {
				view.StaleSecrets = append(view.StaleSecrets, name)
			}
		}
		slices.Sort(view.StaleSecrets)
	}
	if life == nil {
		return
	}
	if l := e.Launcher.Limits(e.Home.Run(run)); l != (instance.Limits{}) {
		view.Limits = &client.Limits{Memory: l.Memory, PIDs: l.PIDs, CPUWeight: l.CPUWeight}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stats, err := life.Stats(ctx)
	if err != nil {
		return
	}
	view.CPUUsed = stats.CPU.String()
	for _, p := range stats.Memory {
		view.MemoryUsed += p.Resident
	}
	if n := stats.Net; n != nil {
		view.NetUsed = &client.NetUse{Sent: n.Sent, Received: n.Received, Queries: n.Queries, Denied: n.Denied, Dropped: n.Dropped}
	}
}
