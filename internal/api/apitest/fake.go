// Package apitest is an aegisd in memory: Services that remember and do as they
// are told, behind the real Handler on a real unix socket. Only tests of client,
// api and cli use it; it knows no VM.
package apitest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/version"
)

// Epoch is the one time that the fake knows.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// Fake is all Services in one. Set its fields before it serves.
type Fake struct {
	// Process plays a process on its end of the connection; nil: Echo.
	Process func(conn net.Conn, command []string)
	// Copy plays the guest's end of a copy; nil: Root's files are copied.
	Copy func(conn net.Conn)
	// Fails is asked before each call, by the name of the method, and may be nil.
	Fails func(call string) error
	// Wake is what Run says of its start.
	Wake client.Wake
	// Log is what Logs returns.
	Log func(client.LogQuery) io.ReadCloser
	// Root is the directory that copies go to and come from.
	Root string
	// Exit is what Wait answers; nil: it waits for ever.
	Exit *client.Exit
	// News are the events; with follow more never come.
	News []client.Event
	// Ends makes followed events end, as a daemon's end does.
	Ends bool
	// Unready makes Status say so, until Setup.
	Unready bool
	// Kernel makes Status say that the kernel is there, although Unready.
	Kernel bool
	// Steps are what Setup reports before it ends with SetupErr.
	Steps    []client.Progress
	SetupErr error

	mu     sync.Mutex
	images []client.Image // beside the default
	list   []*client.Instance
	made   int
	values map[string][]byte
	calls  []string
	down   chan struct{}
	once   sync.Once
}

// Services are the fake's own.
func (f *Fake) Services() api.Services {
	return api.Services{Instances: (*records)(f), Processes: (*processes)(f), Secrets: (*secrets)(f), Images: (*images)(f), Daemon: (*daemon)(f),
		Log: slog.New(slog.DiscardHandler)}
}

// Serve answers at a unix socket until stop, which lets a request that is being
// answered end and then ends every connection.
func (f *Fake) Serve(socket string) (stop func(), err error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: api.Handler(f.Services())}
	go server.Serve(l)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		server.Close()
	}, nil
}

// Calls are the methods that were called, with their main argument.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.calls...)
}

// Value is a stored secret.
func (f *Fake) Value(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.values[name]
}

// Down is closed once the daemon was told to stop.
func (f *Fake) Down() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down == nil {
		f.down = make(chan struct{})
	}
	return f.down
}

// enter notes a call and returns with f locked, unless it has to fail.
func (f *Fake) enter(call, arg string) error {
	if f.Fails != nil {
		if err := f.Fails(call); err != nil {
			return err
		}
	}
	f.mu.Lock()
	if arg != "" {
		call += " " + arg
	}
	f.calls = append(f.calls, call)
	return nil
}

// find looks up by name or ID; f is locked.
func (f *Fake) find(ref string) (*client.Instance, error) {
	for _, i := range f.list {
		if i.Name == ref || i.ID == ref {
			return i, nil
		}
	}
	return nil, fault.New(fault.NotFound, ref, "find instance "+ref, "no instance has this name or ID")
}

type daemon Fake

func (d *daemon) Version() client.Version {
	return client.Version{Version: version.Version, API: version.API, Guest: "1.0"}
}

// Config is that of a daemon that started with AEGIS_CPUS=2.
func (d *daemon) Config() []client.Setting {
	return []client.Setting{{Key: "cpus", Env: "AEGIS_CPUS", Value: "2", Origin: "AEGIS_CPUS", Doc: "virtual processors of an instance"}}
}

func (d *daemon) Status(context.Context) (client.Status, error) {
	f := (*Fake)(d)
	if err := f.enter("Status", ""); err != nil {
		return client.Status{}, err
	}
	defer f.mu.Unlock()
	states := map[string]int{}
	for _, i := range f.list {
		states[i.State]++
	}
	return client.Status{
		Version: version.Version, PID: 4242, StartedAt: Epoch, Home: "/home/u/.aegis", Cache: "/home/u/.aegis/cache",
		Socket: "/home/u/.aegis/aegisd.sock", FrontDoor: "http://127.0.0.1:8099", Backend: "qemu", Accelerator: "tcg",
		Backends: []client.Backend{{Name: "qemu", Usable: true, Build: "qemu-7", Reason: "the first that works here"},
			{Name: "firecracker", Reason: "firecracker is not on PATH", Fix: "sudo install firecracker /usr/local/bin"}},
		Isolation: "emulated", Confinement: "full", Limits: []string{"memory", "pids", "cpu"}, Instances: states, Ready: !f.Unready, Platforms: platforms(f.Unready), Kernels: platforms(f.Unready && !f.Kernel), Warnings: []string{"no hardware virtualization"},
	}, nil
}

func (d *daemon) Setup(_ context.Context, instances client.SetupFor, progress func(client.Progress)) error {
	f := (*Fake)(d)
	if err := f.enter("Setup", strings.TrimSpace(instances.Platform+" "+instances.Image)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	for _, p := range f.Steps {
		progress(p)
	}
	if !instances.BringsImage() {
		f.Unready = f.SetupErr != nil
	}
	f.Kernel = f.SetupErr == nil
	return f.SetupErr
}

// platforms are those that are ready: the host's alone.
func platforms(unready bool) []string {
	if unready {
		return []string{}
	}
	return []string{instance.Host}
}

func (d *daemon) Down(context.Context) error {
	f := (*Fake)(d)
	down := f.Down()
	if err := f.enter("Down", ""); err != nil {
		return err
	}
	defer f.mu.Unlock()
	_ = down
	f.once.Do(func() { close(f.down) })
	return nil
}

// pruneable is what the fake's one unused image takes, in bytes.
const pruneable = 222420992

func (d *daemon) DiskUse(context.Context) (client.DiskUse, error) {
	f := (*Fake)(d)
	if err := f.enter("DiskUse", ""); err != nil {
		return client.DiskUse{}, err
	}
	defer f.mu.Unlock()
	rows := []client.DiskRow{{Name: "images", Size: 2 * pruneable, Reclaimable: pruneable}, {Name: "named workspaces", Size: 3 << 29, Partial: true}}
	return client.DiskUse{Rows: rows, Size: 2*pruneable + 3<<29, Reclaimable: pruneable, CacheShared: true}, nil
}

// Prune removes the image only from a cache that others may use.
func (d *daemon) Prune(_ context.Context, all bool) (client.Pruned, error) {
	f := (*Fake)(d)
	gone := client.Pruned{Removed: []client.Removed{}}
	if err := f.enter("Prune", fmt.Sprintf("all=%v", all)); err != nil {
		return gone, err
	}
	defer f.mu.Unlock()
	if all {
		gone.Freed = pruneable
		gone.Removed = append(gone.Removed, client.Removed{Name: "images", Path: "/home/u/.aegis/cache/images/old", Size: pruneable})
	}
	return gone, nil
}
