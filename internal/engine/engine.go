// Package engine owns every instance's life. One goroutine an instance (actor)
// holds its record and its VM, takes what happens to it from a mailbox, asks
// instance.Next what follows, saves, acts, and answers. Nothing else changes an
// instance, and reading never moves one.
//
// The daemon wires it to the registry, the router, the secrets, the assets and
// the shims through the interfaces of this file. It parses no byte that a guest
// wrote: streams pass through as they are.
package engine

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"aegis/internal/config"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/store"
	"aegis/internal/template"
	"aegis/internal/wire"
)

// Launcher makes lives: VMs with a shim each.
type Launcher interface {
	// Launch returns when the shim listens; the VM boots meanwhile. On an error
	// nothing is left but the run's directory.
	Launch(ctx context.Context, l instance.Launch) (Life, error)

	// Adopt finds a run that an earlier daemon launched. An error means that
	// nothing of it is alive any more, not even a shim that hung.
	Adopt(ctx context.Context, run paths.Run) (Life, instance.RunStatus, error)

	// Left is the exit that a run without a living shim left behind.
	Left(run paths.Run) (instance.Exit, bool)

	// Limits are what the processes of a run are held to; zero what is not limited.
	Limits(run paths.Run) instance.Limits

	// Clear removes what a run that has ended leaves: its directory, and what limited it.
	Clear(run paths.Run)
}

// Life is one run, seen from the daemon. Every call ends with its ctx or with the
// life. Exit is valid once Reports was closed.
type Life interface {
	// Start runs the command; an error means that the VM is gone. The stream is
	// nil unless boots.Attached.
	Start(ctx context.Context, boots instance.Boots) (Stream, wire.Stages, error)
	Exec(ctx context.Context, process wire.Process) (Stream, error)
	Dial(ctx context.Context, port uint16, wait time.Duration) (Stream, error)
	CopyIn(ctx context.Context, in wire.CopyIn) (Stream, error)
	CopyOut(ctx context.Context, out wire.CopyOut) (Stream, error)
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Stop(ctx context.Context, grace time.Duration, reason string) error
	Kill(ctx context.Context, reason string) error
	Stats(ctx context.Context) (instance.RunStats, error)
	Reports() <-chan instance.Report
	Exit() instance.Exit
	Leave() // stop watching; the VM goes on
}

// Stream is a connection each of whose directions ends on its own.
type Stream interface {
	net.Conn
	CloseWrite() error
}

// Ports is the router, as far as the engine drives it.
type Ports interface {
	// Claim binds every port or none; a zero Host is chosen.
	Claim(ports []instance.Port) (Claim, error)
}

// Claim is one instance's bound ports.
type Claim interface {
	Ports() []instance.Port
	Serve(id string) // begin to accept; idempotent
	Rest()           // close what is kept for a next request, before a pause or a stop
	Drain()          // stop accepting; open connections go on
	Close() error    // Drain, and end the open connections
}

// Assets are what a VM boots from. A missing or damaged one is a fault.
type Assets interface {
	// Backend chooses a monitor for guests of a platform ("" is the host's): the named one,
	// or the best that works.
	Backend(name, platform string) (Backend, error)
	// Files are the kernel, initramfs and root image for the backend's guests.
	Files(ctx context.Context, backend Backend, image string) (Files, error)
	// Shape is what a backend and its files give to the shape of a template, or false
	// where the backend makes none.
	Shape(ctx context.Context, backend Backend, files Files) (template.Shape, bool)
	// Disk makes a fresh writable layer at path, of size bytes.
	Disk(ctx context.Context, path string, size int64) error
}

// Backend is the monitor that was chosen for an instance.
type Backend struct {
	Name        string
	Arch        string // of its guests, as GOARCH
	Accelerator string
	Confinement string // rung of package confine that its processes are held by
	Hardware    bool
	Snapshots   bool // it has templates, and a disk can be put into a VM that runs
	MaxCPUs     int
	MinMemory   int64
}

// Files are a VM's inputs, and what the image says of itself.
type Files struct {
	Kernel, Initrd  string
	Harness         string // in their place, of a backend with a kernel of its own
	Base, BaseType  string
	Digest          string
	Entrypoint, Cmd []string
	Env             map[string]string
	User, Workdir   string
}

// Secrets opens values by name. Versions change when a value does.
type Secrets interface {
	Get(names ...string) (map[string][]byte, error)
	Versions() (map[string]string, error)
}

// Parts is what an engine works with.
type Parts struct {
	Home     paths.Home
	Config   config.Config
	Store    *store.Store
	Launcher Launcher
	Ports    Ports
	Assets   Assets
	Secrets  Secrets
	Log      *slog.Logger

	Templates *template.Cache                               // nil: every start is a cold boot, and nothing is made ahead
	Available func() (int64, error)                         // bytes of memory that the host could give; nil: as the host says
	Woke      func(from instance.State, took time.Duration) // told of each return to RUNNING; may be nil, must not block
}

// Engine is the set of all instances. Its methods may be called by several
// goroutines at once.
type Engine struct {
	Parts
	events events

	workspaces workspaces // of creations that go on

	ctx    context.Context // of background work; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stock  *stock // nil without Templates

	mu      sync.Mutex
	actors  map[string]*actor    // by ID
	leaving map[string]dismissed // by ID; actors has them too
	given   map[uint16]int       // host ports of all instances, listening or not
	closing bool                 // no new instance, no new start
}

// New makes an engine without instances. Ports needs the engine to dial, so it is
// set before Open, by the one who wires.
func New(parts Parts) *Engine {
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{Parts: parts, ctx: ctx, cancel: cancel, actors: map[string]*actor{}, leaving: map[string]dismissed{}, given: map[uint16]int{}}
	if e.Available == nil {
		e.Available = hostAvailable
	}
	if e.Templates != nil {
		e.stock = newStock(e)
		e.wg.Go(e.stock.tend)
	}
	return e
}

// Close ends every actor and leaves the VMs running, for the next daemon to adopt; but
// those that wait for an instance are nobody's, and end.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
}

// Given reports whether a host port belongs to an instance, so that it is chosen
// for no other.
func (e *Engine) Given(port uint16) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.given[port] > 0
}
