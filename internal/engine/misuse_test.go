package engine

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/cli"
	"aegis/internal/instance"
	"aegis/internal/paths"
)

// TestMain is also the real command, for the tests that run it.
func TestMain(m *testing.M) {
	if os.Args[0] == "aegis" {
		os.Exit(cli.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// misuse is a verb that a state does not allow.
type misuse struct {
	state instance.State
	on    instance.Event // what the table is asked; empty: the verb never comes so far
	args  string
	code  int
	says  string
	hint  string
}

const (
	begin = "aegis instance start --name web"
	look  = "aegis instance info web"
	force = "aegis instance delete --force web"
)

// misuses are all of them.
var misuses = []misuse{
	{instance.Stopped, instance.Exec, "exec web -- true", 125, `run a command in instance "web": it is STOPPED`, begin},
	{instance.Stopped, instance.Exec, "shell web", 125, `run a command in instance "web": it is STOPPED`, begin},
	{instance.Stopped, instance.Exec, "cp web:/etc/hosts .", 1, `copy files out of instance "web": it is STOPPED`, begin},
	{instance.Stopped, instance.Hold, "instance hold web", 1, `hold instance "web": it is STOPPED`, begin},
	{instance.Stopped, instance.Pause, "instance pause web", 1, `pause instance "web": it is STOPPED`, begin},
	{instance.Stopped, instance.Resume, "instance resume web", 1, `resume instance "web": it is STOPPED`, begin},
	{instance.Stopped, "", "instance wait web", 125, `wait for instance "web": it has never run`, begin},
	{instance.Stopped, "", "run --name web -- true", 125, `create instance "web": another instance has that name`, look},

	{instance.Starting, instance.Start, "instance start --name web", 1, `start instance "web": it is STARTING`, look},
	{instance.Starting, instance.Exec, "exec web -- true", 125, `run a command in instance "web": it is STARTING`, look},
	{instance.Starting, instance.Exec, "shell web", 125, `run a command in instance "web": it is STARTING`, look},
	{instance.Starting, instance.Exec, "cp web:/etc/hosts .", 1, `copy files out of instance "web": it is STARTING`, look},
	{instance.Starting, instance.Hold, "instance hold web", 1, `hold instance "web": it is STARTING`, look},
	{instance.Starting, instance.Pause, "instance pause web", 1, `pause instance "web": it is STARTING`, look},
	{instance.Starting, instance.Resume, "instance resume web", 1, `resume instance "web": it is STARTING`, look},
	{instance.Starting, instance.Delete, "instance delete web", 1, `delete instance "web": it is STARTING`, force},

	{instance.Running, instance.Start, "instance start --name web", 1, `start instance "web": it is RUNNING`, look},
	{instance.Running, instance.Start, "instance start --name web --cpus 1", 1, `create instance "web": another instance has that name, and starts as it was created; --recreate replaces it`, look},
	{instance.Running, instance.Delete, "instance delete web", 1, `delete instance "web": it is RUNNING`, force},

	{instance.Paused, instance.Delete, "instance delete web", 1, `delete instance "web": it is PAUSED`, force},
	{instance.Paused, instance.Start, "instance start --name web -- true", 1, `create instance "web": another instance has that name, and starts as it was created; --recreate replaces it`, look},

	{stopping, instance.Start, "instance start --name web", 1, `start instance "web": it is being stopped`, look},
	{stopping, instance.Exec, "exec web -- true", 125, `run a command in instance "web": it is being stopped`, look},
	{stopping, instance.Exec, "cp web:/etc/hosts .", 1, `copy files out of instance "web": it is being stopped`, look},
	{stopping, instance.Hold, "instance hold web", 1, `hold instance "web": it is being stopped`, look},
	{stopping, instance.Pause, "instance pause web", 1, `pause instance "web": it is being stopped`, look},
	{stopping, instance.Resume, "instance resume web", 1, `resume instance "web": it is being stopped`, look},
	{stopping, instance.Delete, "instance delete web", 1, `delete instance "web": it is RUNNING`, force},
}

// stopping is RUNNING until its VM has gone.
const stopping instance.State = "being stopped"

// TestMisuse runs each of them by the real command, against a real engine.
func TestMisuse(t *testing.T) {
	for _, state := range append(instance.States(), stopping) {
		t.Run(string(state), func(t *testing.T) {
			w := inState(t, state)
			for _, m := range misuses {
				if m.state == state {
					t.Run(m.args, func(t *testing.T) { w.misused(t, m) })
				}
			}
			if state != stopping {
				w.want("web", string(state))
			}
		})
	}
}

// TestMisusesAreAll holds that what the table refuses is there.
func TestMisusesAreAll(t *testing.T) {
	verbs := []instance.Event{instance.Start, instance.Exec, instance.Hold, instance.Pause, instance.Resume, instance.Stop, instance.Delete}
	for _, state := range instance.States() {
		for _, verb := range verbs {
			_, err := instance.Next(state, verb)
			there := slices.ContainsFunc(misuses, func(m misuse) bool { return m.state == state && m.on == verb })
			if err != nil && !there {
				t.Errorf("no misuse is %s of a %s instance", verb, state)
			}
		}
	}
}

// inState is a world with an instance in a state, and the API before it.
func inState(t *testing.T, state instance.State) *world {
	w := newWorld(t)
	l, err := net.Listen("unix", w.home.Socket())
	if err != nil {
		t.Fatal(err)
	}
	services := (&apitest.Fake{}).Services()
	services.Instances, services.Processes = w.Engine, w.Engine
	server := &http.Server{Handler: api.Handler(services)}
	go server.Serve(l)
	t.Cleanup(func() {
		server.Close()
		w.Down(context.Background())
		w.leave()
	})
	w.create(client.Create{Name: "web", PauseAfter: "never", StopAfter: "never"})
	w.bring(state)
	return w
}

// bring leads a new instance to a state.
func (w *world) bring(state instance.State) {
	ctx := w.t.Context()
	switch state {
	case instance.Stopped:
		return
	case instance.Starting:
		w.launcher.bootTime = time.Hour
		go w.Start(ctx, "web")
		for w.state("web") != string(state) {
			time.Sleep(time.Millisecond)
		}
		return
	}
	if state == stopping {
		w.launcher.stuck = make(chan struct{})
		w.t.Cleanup(func() { close(w.launcher.stuck) })
	}
	if _, err := w.Start(ctx, "web"); err != nil {
		w.t.Fatal(err)
	}
	if state == instance.Paused {
		if err := w.Pause(ctx, "web"); err != nil {
			w.t.Fatal(err)
		}
	}
	if state == stopping {
		a, err := w.find(ctx, "web")
		if err != nil {
			w.t.Fatal(err)
		}
		a.ask(ctx, func() error { _, err = a.end(instance.Stop, 0, instance.StoppedBy); return err })
	}
}

// misused runs one.
func (w *world) misused(t *testing.T, m misuse) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, strings.Fields(m.args)...)
	cmd.Args[0], cmd.Dir = "aegis", t.TempDir() // TestMain goes by the name
	cmd.Env = append(os.Environ(), paths.EnvHome+"="+w.home.Dir, "XDG_RUNTIME_DIR="+filepath.Dir(w.home.Dir))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != m.code || out.Len() > 0 {
		t.Errorf("%v, want exit status %d; it printed %q", err, m.code, &out)
	}
	if want := "aegis: " + m.says + "\nhint: " + m.hint + "\n"; errs.String() != want {
		t.Errorf("it says\n%swant\n%s", &errs, want)
	}
}
