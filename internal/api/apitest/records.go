package apitest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"aegis/client"
	"aegis/internal/fault"
)

type records Fake

// Create numbers the instances and their ports in order, so that tests can name them.
func (r *records) Create(_ context.Context, spec client.Create) (client.Instance, error) {
	f := (*Fake)(r)
	if err := f.enter("Create", spec.Name); err != nil {
		return client.Instance{}, err
	}
	defer f.mu.Unlock()
	n := f.made
	if spec.Name == "" {
		spec.Name = fmt.Sprintf("calm-otter%d", n)
	}
	if spec.Recreate {
		f.list = slices.DeleteFunc(f.list, func(i *client.Instance) bool { return i.Name == spec.Name })
	}
	if _, err := f.find(spec.Name); err == nil {
		return client.Instance{}, fault.New(fault.NameTaken, spec.Name, fmt.Sprintf("create instance %q", spec.Name), "another instance has this name")
	}
	f.made++
	i := &client.Instance{
		ID: fmt.Sprintf("inst-aaaaaaaaaaa%c", 'a'+n), Name: spec.Name, State: "STOPPED", Image: or(spec.Image, "default"), Command: spec.Command,
		Workdir: spec.Workdir, User: spec.User, Env: spec.Env, Secrets: spec.Secrets, Workspace: spec.Workspace, Ports: []client.Port{},
		CPUs: max(spec.CPUs, 1), Memory: max(spec.Memory, 256<<20), Disk: max(spec.Disk, 8<<30), DiskUsed: 1 << 20, Net: or(spec.Net, "public"),
		AllowHosts: append([]string{}, spec.AllowHosts...), AllowCIDRs: append([]string{}, spec.AllowCIDRs...),
		Platform: or(spec.Platform, "linux/amd64"), Labels: spec.Labels, Backend: or(spec.Backend, "qemu"), Accelerator: "tcg", Isolation: "emulated", Confinement: "full",
		PauseAfter: or(spec.PauseAfter, "1m0s"), StopAfter: or(spec.StopAfter, "20m0s"), Restart: or(spec.Restart, "no"),
		CreatedAt: Epoch, AwakeBecause: []string{}, Wakes: []client.Wake{},
	}
	for k := range spec.Expose {
		port := client.Port{Guest: 80 + k, IP: "127.0.0.1", Host: 40000 + k, Protocol: "http"}
		port.URL = fmt.Sprintf("http://127.0.0.1:%d", port.Host)
		i.Ports = append(i.Ports, port)
	}
	f.list = append(f.list, i)
	return *i, nil
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func (r *records) List(context.Context) ([]client.Instance, error) {
	f := (*Fake)(r)
	if err := f.enter("List", ""); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	var out []client.Instance
	for _, i := range f.list {
		out = append(out, *i)
	}
	return out, nil
}

// Info gives every RUNNING instance the same figures of its network.
func (r *records) Info(_ context.Context, ref string) (client.Instance, error) {
	i, err := r.move("Info", ref, "")
	if i.State == "RUNNING" {
		i.NetUsed = &client.NetUse{Sent: 1 << 10, Received: 4 << 10, Queries: 2, Denied: 3}
	}
	return i, err
}

func (r *records) Start(_ context.Context, ref string) (client.Instance, error) {
	return r.move("Start", ref, "RUNNING")
}

func (r *records) Stop(_ context.Context, ref string, grace time.Duration) error {
	_, err := r.move("Stop", ref, "STOPPED", grace.String())
	return err
}

func (r *records) Restart(_ context.Context, ref string, grace time.Duration) (client.Instance, error) {
	return r.move("Restart", ref, "RUNNING", grace.String())
}

// Wait answers at once with Fake.Exit, or waits for the end of ctx.
func (r *records) Wait(ctx context.Context, ref string) (client.Exit, error) {
	if _, err := r.move("Wait", ref, ""); err != nil {
		return client.Exit{}, err
	}
	if r.Exit == nil {
		<-ctx.Done()
		return client.Exit{}, ctx.Err()
	}
	return *r.Exit, nil
}

func (r *records) Hold(_ context.Context, ref string, d time.Duration, reason string) (client.Instance, error) {
	return r.move("Hold", ref, "RUNNING", d.String(), strconv.Quote(reason))
}

func (r *records) Release(_ context.Context, ref string) (client.Instance, error) {
	return r.move("Release", ref, "")
}

// Prune deletes every STOPPED instance.
func (r *records) Prune(_ context.Context, age time.Duration) ([]string, error) {
	f := (*Fake)(r)
	if err := f.enter("Prune", age.String()); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	var names []string
	f.list = slices.DeleteFunc(f.list, func(i *client.Instance) bool {
		if i.State == "STOPPED" {
			names = append(names, i.Name)
		}
		return i.State == "STOPPED"
	})
	return names, nil
}

func (r *records) Events(ctx context.Context, follow bool) iter.Seq[client.Event] {
	f := (*Fake)(r)
	if err := f.enter("Events", fmt.Sprint("follow=", follow)); err != nil {
		panic(err)
	}
	defer f.mu.Unlock()
	news := f.News
	return func(yield func(client.Event) bool) {
		for _, e := range news {
			if !yield(e) {
				return
			}
		}
		if follow && !f.Ends {
			<-ctx.Done()
		}
	}
}

func (r *records) Pause(_ context.Context, ref string) error {
	_, err := r.move("Pause", ref, "PAUSED")
	return err
}

func (r *records) Resume(_ context.Context, ref string) error {
	_, err := r.move("Resume", ref, "RUNNING")
	return err
}

// move notes a call and sets the state, unless it is empty.
func (r *records) move(call, ref, state string, args ...string) (client.Instance, error) {
	f := (*Fake)(r)
	for _, a := range args {
		call += " " + a
	}
	if err := f.enter(call, ref); err != nil {
		return client.Instance{}, err
	}
	defer f.mu.Unlock()
	i, err := f.find(ref)
	if err != nil {
		return client.Instance{}, err
	}
	if state != "" {
		i.State = state
	}
	return *i, nil
}

func (r *records) Dismiss(_ context.Context, ref string) error { return r.remove("Dismiss", ref, true) }

func (r *records) Delete(_ context.Context, ref string, force bool) error {
	return r.remove(fmt.Sprintf("Delete force=%v", force), ref, force)
}

func (r *records) remove(call, ref string, force bool) error {
	f := (*Fake)(r)
	if err := f.enter(call, ref); err != nil {
		return err
	}
	defer f.mu.Unlock()
	i, err := f.find(ref)
	if err != nil {
		return err
	}
	if i.State != "STOPPED" && !force {
		return fault.New(fault.WrongState, ref, fmt.Sprintf("delete instance %q", ref), "it is %s", i.State)
	}
	for k := range f.list {
		if f.list[k] == i {
			f.list = append(f.list[:k], f.list[k+1:]...)
			break
		}
	}
	return nil
}
