package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/store"
	"aegis/internal/template"
	"aegis/internal/wire"
)

// world is everything around an engine, faked in memory.
type world struct {
	t    *testing.T
	home paths.Home
	*Engine
	launcher *fakeLauncher
	ports    *fakePorts
	secrets  fakeSecrets
	config   config.Config
	stocked  bool  // starts are made from templates
	memory   int64 // available to the host, in bytes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	home, err := paths.Locate(func(key string) string {
		return map[string]string{paths.EnvHome: filepath.Join(dir, "h"), "XDG_RUNTIME_DIR": dir}[key]
	})
	if err != nil {
		t.Skip("pending: the temporary directory's path is too long for sockets: ", err)
	}
	if err := home.Prepare(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: home, launcher: &fakeLauncher{lives: map[string]*fakeLife{}}, ports: &fakePorts{next: 20000}, secrets: fakeSecrets{}, config: config.Default(), memory: 1 << 40}
	w.open()
	return w
}

// open makes an engine over what the home holds, as a daemon's start does.
func (w *world) open() {
	w.t.Helper()
	records, err := store.Open(w.home.Registry())
	if err != nil {
		w.t.Fatal(err)
	}
	var templates *template.Cache
	if w.stocked {
		if templates, err = template.Open(w.home, w.config.TemplateDisk); err != nil {
			w.t.Fatal(err)
		}
	}
	w.Engine = New(Parts{Home: w.home, Config: w.config, Store: records, Launcher: w.launcher, Ports: w.ports,
		Templates: templates, Available: func() (int64, error) { return atomic.LoadInt64(&w.memory), nil },
		Assets: fakeAssets{}, Secrets: w.secrets, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := w.Open(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// leave closes the engine as a daemon that is replaced does.
func (w *world) leave() {
	w.Engine.Close()
	w.Store.Close()
	w.ports = &fakePorts{next: w.ports.next} // the kernel closes what a daemon listened on
}

// create makes an instance and fails the test if it can't.
func (w *world) create(c client.Create) client.Instance {
	w.t.Helper()
	view, err := w.Create(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return view
}

// started makes and starts one.
func (w *world) started(c client.Create) client.Instance {
	w.t.Helper()
	w.create(c)
	view, err := w.Start(w.t.Context(), c.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return view
}

func (w *world) state(name string) string {
	w.t.Helper()
	view, err := w.Info(w.t.Context(), name)
	if fault.Is(err, fault.NotFound) {
		return "gone"
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return view.State
}

func (w *world) want(name, state string) {
	w.t.Helper()
	if got := w.state(name); got != state {
		w.t.Errorf("%s is %s, want %s", name, got, state)
	}
}

// fakeLauncher makes lives that never leave memory.
type fakeLauncher struct {
	mu       sync.Mutex
	lives    map[string]*fakeLife // by run directory
	launched int
	bootTime time.Duration
	stuck    chan struct{} // when set, a stop waits for its end
	fail     error         // of Start

	ahead   []instance.Launch // what was launched for nobody
	spoiled string            // why a Start from a template or from the pool fails; "": it does not
	unsaved string            // why a template's maker fails; "": it does not
	hang    bool              // what is made ahead never gets ready
}

func (l *fakeLauncher) Launch(ctx context.Context, launch instance.Launch) (Life, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.launched++
	life := &fakeLife{launch: launch, bootTime: l.bootTime, stuck: l.stuck, fail: l.fail, ended: make(chan struct{}), reports: make(chan instance.Report, 1)}
	l.lives[launch.RunDir] = life
	if l.spoiled != "" && (launch.Template != "" || launch.Scratch != "") {
		life.fail = fault.New(fault.BootFailed, "", "", "%s", l.spoiled)
	}
	if launch.Assignment == nil {
		l.ahead = append(l.ahead, launch)
		life.watch()
		if !l.hang {
			go life.getReady(l.unsaved)
		}
	}
	return life, nil
}

// getReady does what a run does that is nobody's.
func (f *fakeLife) getReady(unsaved string) {
	select {
	case <-time.After(f.bootTime):
	case <-f.ended:
		return
	}
	switch {
	case f.launch.Save != "" && unsaved != "":
		f.die(instance.Exit{Reason: instance.BootFailed, Error: unsaved})
	case f.launch.Save != "":
		err := os.WriteFile(filepath.Join(f.launch.Save, "memory"), []byte("memory"), 0o600)
		f.die(instance.Exit{Reason: instance.Saved, Error: fmt.Sprint(err)})
	case f.fail != nil:
		f.die(instance.Exit{Reason: instance.BootFailed, Error: f.fail.Error()})
	default:
		select {
		case f.reports <- instance.Report{Ready: true}:
		case <-f.ended:
		}
	}
}

func (l *fakeLauncher) Adopt(_ context.Context, run paths.Run) (Life, instance.RunStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	life := l.lives[run.Dir]
	if life == nil || life.over() {
		return nil, instance.RunStatus{}, errors.New("nobody there")
	}
	life.reports, life.left = make(chan instance.Report, 1), nil
	life.watch()
	return life, instance.RunStatus{Started: life.started.Load(), Paused: life.paused.Load(), Lease: life.lease}, nil
}

func (l *fakeLauncher) Left(run paths.Run) (instance.Exit, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if life := l.lives[run.Dir]; life != nil && life.over() {
		return life.exit, true
	}
	return instance.Exit{}, false
}

func (l *fakeLauncher) Limits(paths.Run) instance.Limits {
	return instance.Limits{Memory: 1 << 30, PIDs: 1000}
}

func (l *fakeLauncher) Clear(run paths.Run) { os.RemoveAll(run.Dir) }

// only is the life of the one VM that runs.
func (l *fakeLauncher) only(t *testing.T) *fakeLife {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	alive := slices.DeleteFunc(slices.Collect(maps.Values(l.lives)), func(f *fakeLife) bool { return f.over() })
	if len(alive) != 1 {
		t.Fatalf("%d VMs run, want one", len(alive))
	}
	return alive[0]
}

func (l *fakeLauncher) running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, life := range l.lives {
		if !life.over() {
			n++
		}
	}
	return n
}

// fakeLife is a VM whose command runs until it is ended.
type fakeLife struct {
	launch   instance.Launch
	bootTime time.Duration
	stuck    chan struct{}
	fail     error

	started, paused atomic.Bool
	assigned        *instance.Assignment // of a start from the pool
	seed            []byte               // of the start
	once            sync.Once
	exit            instance.Exit
	lease           *instance.Lease // what an adopting daemon is told
	ended           chan struct{}
	reports         chan instance.Report
	left            chan struct{}
}

func (f *fakeLife) over() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// die ends the VM as the world does.
func (f *fakeLife) die(exit instance.Exit) {
	f.once.Do(func() {
		exit.At = time.Now().UTC()
		f.exit = exit
		close(f.ended)
	})
}

// watch closes the reports when the VM has ended, or the watcher leaves.
func (f *fakeLife) watch() {
	if f.left != nil {
		return // it was watched while it was nobody's
	}
	f.left = make(chan struct{})
	reports, left := f.reports, f.left
	go func() {
		select {
		case <-f.ended:
		case <-left:
		}
		close(reports)
	}()
}

func (f *fakeLife) Start(ctx context.Context, boots instance.Boots) (Stream, wire.Stages, error) {
	f.watch()
	if (f.launch.Assignment == nil) == (boots.Assignment == nil) {
		f.die(instance.Exit{Reason: instance.BootFailed})
		return nil, nil, errors.New("it has no assignment, or two")
	}
	select {
	case <-time.After(f.bootTime):
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-f.ended:
		return nil, nil, errors.New("killed")
	}
	if f.fail != nil {
		return nil, nil, f.fail
	}
	f.assigned, f.seed = boots.Assignment, boots.Start.Seed
	f.started.Store(true)
	if boots.Attached {
		return f.stream(), nil, nil
	}
	return nil, wire.Stages{"boot": f.bootTime}, nil
}

// pipe is an in-memory stream.
type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { return p.Close() }

func (f *fakeLife) stream() Stream {
	a, b := net.Pipe()
	go func() { io.Copy(io.Discard, b); b.Close() }()
	return pipe{a}
}

func (f *fakeLife) Exec(context.Context, wire.Process) (Stream, error)    { return f.usable() }
func (f *fakeLife) CopyIn(context.Context, wire.CopyIn) (Stream, error)   { return f.usable() }
func (f *fakeLife) CopyOut(context.Context, wire.CopyOut) (Stream, error) { return f.usable() }
func (f *fakeLife) Dial(context.Context, uint16, time.Duration) (Stream, error) {
	return f.usable()
}

func (f *fakeLife) usable() (Stream, error) {
	switch {
	case f.over():
		return nil, errors.New("it has ended")
	case f.paused.Load():
		return nil, errors.New("it is paused and would hang")
	}
	return f.stream(), nil
}

func (f *fakeLife) Pause(context.Context) error {
	if f.over() {
		return errors.New("it has ended")
	}
	f.paused.Store(true)
	return nil
}

func (f *fakeLife) Resume(context.Context) error {
	if f.over() {
		return errors.New("it has ended")
	}
	f.paused.Store(false)
	return nil
}

func (f *fakeLife) Stop(_ context.Context, _ time.Duration, reason string) error {
	if f.stuck != nil {
		<-f.stuck
	}
	f.die(instance.Exit{Reason: reason, Signal: 15})
	return nil
}

func (f *fakeLife) Kill(_ context.Context, reason string) error {
	f.die(instance.Exit{Reason: reason, Signal: 9})
	return nil
}

func (f *fakeLife) Stats(context.Context) (instance.RunStats, error) { return instance.RunStats{}, nil }
func (f *fakeLife) Reports() <-chan instance.Report                  { return f.reports }
func (f *fakeLife) Exit() instance.Exit                              { return f.exit }
func (f *fakeLife) Leave()                                           { close(f.left) }
