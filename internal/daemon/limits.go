package daemon

import (
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"

	"aegis/client"
	"aegis/internal/cgroup"
	"aegis/internal/instance"
	"aegis/internal/paths"
)

// findLimits finds how runs can be limited. That a process can begin in a group is seen
// with the shim's program, which refuses such an argument and does nothing.
func findLimits(program string, home paths.Home) *cgroup.Tree {
	return cgroup.Find(home.Dir, func(g *cgroup.Group) error {
		cmd := exec.Command(program, "nothing")
		cmd.Env = []string{}
		if err := g.Enter(cmd); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		cmd.Wait()
		return nil
	})
}

// group makes the group of a run, and notes where it is. nil is that nothing limits it.
func (l *launcher) group(launch instance.Launch) *cgroup.Group {
	tree := l.tree()
	g, err := tree.Make(launch.Run, cgroup.For(launch.CPUs, launch.Memory))
	if err != nil {
		l.log.Warn("nothing limits a run's processes", "run", launch.Run, "error", err)
		return nil
	}
	if g == nil {
		return nil
	}
	if err := os.WriteFile(paths.Run{Dir: launch.RunDir}.Group(), []byte(g.Dir), 0o600); err != nil {
		l.log.Warn("nothing limits a run's processes", "run", launch.Run, "error", err)
		l.ungroup(g.Dir)
		return nil
	}
	return g
}

// Limits reads what a run is held to.
func (l *launcher) Limits(run paths.Run) instance.Limits {
	dir, err := os.ReadFile(run.Group())
	if err != nil {
		return instance.Limits{}
	}
	return l.tree().Limits(string(dir))
}

// Clear removes a run's directory at once, and its group when its shim has ended.
func (l *launcher) Clear(run paths.Run) {
	dir, err := os.ReadFile(run.Group())
	os.RemoveAll(run.Dir)
	if err == nil {
		l.ungroup(string(dir))
	}
}

func (l *launcher) ungroup(dir string) {
	l.removals.Go(func() {
		if err := l.tree().Remove(dir); err != nil {
			l.log.Warn("cannot remove the group of a run", "error", err)
		}
	})
}

// sweep removes the groups that an earlier daemon has left without their run.
func (l *launcher) sweep(home paths.Home) {
	err := l.tree().Sweep(func(run string) bool {
		_, err := os.Lstat(home.Run(run).Dir)
		return err == nil
	})
	if err != nil {
		l.log.Warn("cannot remove the group of a run", "error", err)
	}
}

func checkLimits(t *cgroup.Tree) client.Check {
	const name = "limits"
	if t.Cause != "" {
		detail := "no control group limits what an instance's processes take: "
		if len(t.Controllers) > 0 {
			detail = "control groups limit only " + strings.Join(t.Controllers, ", ") + ": "
		}
		return client.Check{Name: name, Status: warn, Detail: detail + t.Cause, Fix: or(t.Fix, "aegis status, and what docs/security.md says of limits")}
	}
	return client.Check{Name: name, Status: ok, Detail: "control groups limit memory, pids and cpu, below " + t.Dir}
}

// newLauncher begins to find out how runs can be limited.
func newLauncher(program string, home paths.Home, log *slog.Logger) *launcher {
	l := &launcher{program: program, log: log, tree: sync.OnceValue(func() *cgroup.Tree { return findLimits(program, home) })}
	l.removals.Go(func() { l.sweep(home) })
	return l
}

// close waits until the groups of ended runs are gone.
func (l *launcher) close() {
	l.removals.Wait()
	l.tree().Close()
}
