// Package daemon wires aegisd: it opens what a home holds, makes the engine, the
// router and the API of the parts below, and serves until it is told to end. What
// it decides itself is set-up, status, metrics and doctor.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"aegis/internal/api"
	"aegis/internal/config"
	"aegis/internal/engine"
	"aegis/internal/fault"
	"aegis/internal/paths"
	"aegis/internal/router"
	"aegis/internal/secret"
	"aegis/internal/store"
	"aegis/internal/template"
	"aegis/internal/undo"
)

// daemon is one running aegisd.
type daemon struct {
	home     paths.Home
	config   config.Config
	assets   *assets
	launcher *launcher
	engine   *engine.Engine
	router   *router.Router
	secrets  *secret.Box
	metrics  *metrics
	log      *slog.Logger
	started  time.Time
	door     string   // URL of the front door; empty when its port is taken
	tcp      string   // where the API is served over TCP; empty: nowhere
	warn     []string // for status

	down     chan struct{} // closed by Down
	stopOnce sync.Once
}

// serve runs until a signal or Down. ready is told nil when the API answers, or
// why it never will. The VMs outlive it, unless Down ended them.
func serve(getenv func(string) string, log *slog.Logger, ready func(error)) error {
	var u undo.Stack
	defer u.Run()
	d, err := open(getenv, log, &u)
	if err != nil {
		ready(err)
		return err
	}
	listener, err := d.listen()
	if err != nil {
		ready(err)
		return err
	}
	handler := api.Handler(d.services())
	remote := d.remote(handler)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headTime, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	ready(nil)
	log.Info("ready", "home", d.home.Dir, "pid", os.Getpid())

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	select {
	case s := <-signals:
		log.Info("ending; virtual machines go on", "signal", s.String())
	case <-d.down:
		log.Info("ending; everything is stopped")
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	}
	shutDown(server, remote)
	return nil
}

// shutDown lets the answers that are under way end, for a while.
func shutDown(servers ...*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range servers {
		if s == nil {
			continue
		}
		all.Go(func() {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		})
	}
	all.Wait()
}

// open takes the home and makes the parts. What it acquires is undone by u.
func open(getenv func(string) string, log *slog.Logger, u *undo.Stack) (*daemon, error) {
	home, err := paths.Locate(getenv)
	if err != nil {
		return nil, err
	}
	if err := home.Prepare(); err != nil {
		return nil, err
	}
	unlock, err := lock(home)
	if err != nil {
		return nil, err
	}
	u.Add(unlock)
	cfg, err := config.Load(home, getenv)
	if err != nil {
		return nil, err
	}
	records, err := store.Open(home.Registry())
	if err != nil {
		return nil, err
	}
	u.Add(func() { records.Close() })
	secrets, err := secret.Open(home)
	if err != nil {
		return nil, err
	}
	d := &daemon{home: home, config: cfg, secrets: secrets, metrics: newMetrics(), log: log, started: time.Now().UTC(), down: make(chan struct{})}
	d.assets = newAssets(home, cfg, log)
	program, err := companion("aegis-shim")
	if err != nil {
		return nil, err
	}
	d.launcher = newLauncher(program, home, log)
	u.Add(d.launcher.close)
	var templates *template.Cache
	if cfg.Templates {
		if templates, err = template.Open(home, cfg.TemplateDisk); err != nil {
			return nil, err
		}
	}
	d.engine = engine.New(engine.Parts{Templates: templates, Home: home, Config: cfg, Store: records, Launcher: d.launcher,
		Assets: d.assets, Secrets: sealed{secrets}, Log: log, Woke: d.metrics.woke})
	d.metrics.engine = d.engine
	d.router = router.New(d.engine, router.Options{WakeTimeout: cfg.WakeTimeout, Given: d.engine.Given, Logger: log})
	d.engine.Ports = ports{d.router}
	u.Add(func() { d.router.Close() })
	u.Add(d.engine.Close)
	if err := d.engine.Open(context.Background()); err != nil {
		return nil, err
	}
	d.openDoor()
	return d, nil
}

// openDoor opens the front door; a port that is taken is a warning.
func (d *daemon) openDoor() {
	if d.config.FrontDoor == "" {
		return
	}
	addr, err := d.router.FrontDoor(d.config.FrontDoor)
	if err != nil {
		d.warn = append(d.warn, "the front door is closed: "+fault.As(err).Why)
		return
	}
	_, port, _ := net.SplitHostPort(addr.String())
	d.door = "http://NAME.localhost:" + port + "/"
}

// listen binds the API's socket, 0600. The lock is held, so a socket that is there
// belongs to nobody.
func (d *daemon) listen() (net.Listener, error) {
	path := d.home.Socket()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.Internal, path, "open the API's socket", "%w", err)
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.New(fault.Internal, path, "open the API's socket", "%w", err)
	}
	return l, nil
}

func (d *daemon) services() api.Services {
	return api.Services{Instances: d.engine, Processes: d.engine, Secrets: vault{d.secrets}, Images: images{d}, Daemon: d, Metrics: d.metrics.handler(), Log: d.log}
}

// companion finds another program of Aegis beside this one, or where an
// installation puts it.
func companion(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "..", "libexec", "aegis", name)} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fault.New(fault.AssetMissing, name, "find "+name, "it is neither beside %s nor in ../libexec/aegis", self)
}
