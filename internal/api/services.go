package api

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"time"

	"aegis/client"
)

// LogQuery selects lines of a log.
type LogQuery = client.LogQuery

// Services is what the routes act on. Every method may be called by several
// goroutines at once; its error should be a *fault.Error, whose What and Why are
// answered as they are. The context of a call ends when its client goes away. A
// ref is a name, an ID, or an ID's unique prefix.
type Services struct {
	Instances Instances
	Processes Processes
	Secrets   Secrets
	Images    Images
	Daemon    Daemon
	Metrics   http.Handler // answers GET /metrics; nil: there are none
	Log       *slog.Logger // gets panics, with their stacks, and internal failures; nil: slog.Default
}

// Instances are the records and their lives.
type Instances interface {
	// Create makes the record alone: the answer is STOPPED.
	Create(ctx context.Context, spec client.Create) (client.Instance, error)
	List(ctx context.Context) ([]client.Instance, error)
	Info(ctx context.Context, ref string) (client.Instance, error)
	// Start returns when the command runs.
	Start(ctx context.Context, ref string) (client.Instance, error)
	// Stop returns when the VM is gone. A negative grace means the default.
	Stop(ctx context.Context, ref string, grace time.Duration) error
	// Restart stops what runs, as Stop does, and returns when the command runs again.
	Restart(ctx context.Context, ref string, grace time.Duration) (client.Instance, error)
	// Wait returns when the instance is STOPPED.
	Wait(ctx context.Context, ref string) (client.Exit, error)
	Pause(ctx context.Context, ref string) error
	Resume(ctx context.Context, ref string) error
	// Hold takes the instance's lease, in the place of an earlier one.
	Hold(ctx context.Context, ref string, d time.Duration, reason string) (client.Instance, error)
	Release(ctx context.Context, ref string) (client.Instance, error)
	// Prune deletes what has been STOPPED for longer than age and names it.
	Prune(ctx context.Context, age time.Duration) ([]string, error)
	// Events gives the last events, and with follow later ones until ctx or the
	// daemon ends.
	Events(ctx context.Context, follow bool) iter.Seq[client.Event]
	// Delete refuses an instance that is not STOPPED, unless force.
	Delete(ctx context.Context, ref string, force bool) error
	// Dismiss deletes a run as Delete does with force, and returns when nobody finds it any
	// more: what it used is freed behind that. Any other instance it deletes.
	Dismiss(ctx context.Context, ref string) error
}

// Processes are connections to processes, and what these have printed.
//
// The connections of Run and Exec carry package wire's frames and are copied
// without a look. ctx bounds the call, not the connection. The connection
// belongs to the caller, which closes it. The end of the bytes to the process
// (a half-close) means that the client has gone, since a client that still wants
// an answer sends wire.FrameStdinEOF instead.
type Processes interface {
	// Run starts a STOPPED instance with the client attached to its command, and says
	// how the start went.
	Run(ctx context.Context, ref string) (net.Conn, client.Wake, error)
	Exec(ctx context.Context, ref string, exec client.Exec) (net.Conn, error)
	// CopyIn and CopyOut begin a copy of files; these connections are as Exec's, and
	// wire.FrameEnd is the end of what the client sends.
	CopyIn(ctx context.Context, ref string, in client.CopyIn) (net.Conn, error)
	CopyOut(ctx context.Context, ref string, out client.CopyOut) (net.Conn, error)
	// Logs returns NDJSON, whole lines of client.LogLine. Close may be called
	// while a Read waits and must end it.
	Logs(ctx context.Context, ref string, query LogQuery) (io.ReadCloser, error)
}

// Secrets are the sealed values.
type Secrets interface {
	// Set must not keep value: it is overwritten after the call.
	Set(ctx context.Context, name string, value []byte) error
	List(ctx context.Context) ([]client.Secret, error)
	Delete(ctx context.Context, name string) error
}

// Images are what roots are made from. A ref is a name, a digest, or the beginning of
// one; a platform is "" for this machine's.
type Images interface {
	List(ctx context.Context) ([]client.Image, error)
	Info(ctx context.Context, ref, platform string) (client.Image, error)
	Delete(ctx context.Context, ref, platform string) error
	// Pull and Import call progress from one goroutine at a time, before they return.
	Pull(ctx context.Context, in client.PullImage, progress func(client.Progress)) (client.Image, error)
	// Import reads archive to its end before it first calls progress.
	Import(ctx context.Context, in client.ImportImage, archive io.Reader, progress func(client.Progress)) (client.Image, error)
}

// Daemon is the daemon itself.
type Daemon interface {
	Version() client.Version
	// Config never changes while the daemon runs.
	Config() []client.Setting
	Status(ctx context.Context) (client.Status, error)
	// Setup makes what such instances need. It calls progress
	// from one goroutine at a time, before it returns.
	Setup(ctx context.Context, instances client.SetupFor, progress func(client.Progress)) error
	// DiskUse measures every file of the home and its cache.
	DiskUse(ctx context.Context) (client.DiskUse, error)
	// Prune removes what nothing needs; from a cache outside of the home only with all.
	Prune(ctx context.Context, all bool) (client.Pruned, error)
	// Down stops every VM. The daemon ends after the answer has been sent.
	Down(ctx context.Context) error
}
