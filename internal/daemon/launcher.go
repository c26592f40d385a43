package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"aegis/internal/cgroup"
	"aegis/internal/engine"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/router"
	"aegis/internal/shim"
	"aegis/internal/wire"
)

// launcher makes lives by starting shims.
type launcher struct {
	program  string
	log      *slog.Logger
	tree     func() *cgroup.Tree // found once
	removals sync.WaitGroup      // of groups
}

func (l *launcher) Launch(ctx context.Context, launch instance.Launch) (engine.Life, error) {
	g := l.group(launch)
	defer g.Close()
	c, err := shim.Spawn(ctx, l.program, launch, g)
	if err != nil {
		if g != nil {
			l.ungroup(g.Dir)
		}
		return nil, err
	}
	return life{c}, nil
}

func (l *launcher) Adopt(ctx context.Context, run paths.Run) (engine.Life, instance.RunStatus, error) {
	c, status, err := shim.Adopt(ctx, run)
	if err != nil {
		return nil, status, err
	}
	return life{c}, status, nil
}

func (l *launcher) Left(run paths.Run) (instance.Exit, bool) { return shim.ReadExit(run) }

// life gives a shim's client the engine's stream type.
type life struct{ *shim.Client }

func (l life) Start(ctx context.Context, boots instance.Boots) (engine.Stream, wire.Stages, error) {
	conn, stages, err := l.Client.Start(ctx, boots)
	if conn == nil {
		return nil, stages, err
	}
	return conn, stages, err
}

func (l life) Exec(ctx context.Context, process wire.Process) (engine.Stream, error) {
	conn, err := l.Client.Exec(ctx, process)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (l life) Dial(ctx context.Context, port uint16, wait time.Duration) (engine.Stream, error) {
	conn, err := l.Client.Dial(ctx, port, wait)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (l life) CopyIn(ctx context.Context, in wire.CopyIn) (engine.Stream, error) {
	conn, err := l.Client.CopyIn(ctx, in)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (l life) CopyOut(ctx context.Context, out wire.CopyOut) (engine.Stream, error) {
	conn, err := l.Client.CopyOut(ctx, out)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// ports gives the router the engine's claim type.
type ports struct{ *router.Router }

func (p ports) Claim(wanted []instance.Port) (engine.Claim, error) {
	c, err := p.Router.Claim(wanted)
	if err != nil {
		return nil, err
	}
	return c, nil
}
