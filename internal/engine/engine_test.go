package engine

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// in runs a test in a bubble of its own time.
func in(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		w.Down(context.Background())
		w.leave()
	})
}

func TestStartStopDelete(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "web", Expose: []string{"80"}})
		w.want("web", "STOPPED")
		view, err := w.Start(t.Context(), "web")
		if view.Image != "default" || view.Workdir != "/" {
			t.Errorf("image %q, directory %q: not what is in effect", view.Image, view.Workdir)
		}
		if err != nil || view.State != "RUNNING" || view.Ports[0].Host == 0 || len(view.Wakes) != 1 {
			t.Fatalf("start: %+v %v", view, err)
		}
		if _, err := w.Start(t.Context(), "web"); !fault.Is(err, fault.WrongState) {
			t.Errorf("start a RUNNING one: %v", err)
		}
		if err := w.Delete(t.Context(), "web", false); !fault.Is(err, fault.WrongState) || !strings.Contains(err.Error(), "RUNNING") {
			t.Errorf("delete a RUNNING one: %v", err)
		}
		if err := w.Stop(t.Context(), "web", time.Second); err != nil {
			t.Fatal(err)
		}
		w.want("web", "STOPPED")
		synctest.Wait()
		if n := w.ports.listening(); n != 0 {
			t.Errorf("%d listeners after a user's stop", n)
		}
		if _, _, err := w.Dial(t.Context(), "web", 80); !fault.Is(err, fault.WrongState) {
			t.Errorf("dial a user-stopped one: %v", err)
		}
		if err := w.Delete(t.Context(), "web", false); err != nil {
			t.Fatal(err)
		}
		w.want("web", "gone")
		if left := names(w.home.Instances()); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestIdleClock(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web", Expose: []string{"80"}, PauseAfter: "1m", StopAfter: "20m"})
		time.Sleep(59 * time.Second)
		w.want("web", "RUNNING")
		conn, _, err := w.Dial(t.Context(), "web", 80)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // an open connection keeps it awake
		w.want("web", "RUNNING")
		conn.Close()
		conn.Close() // once more changes nothing
		time.Sleep(61 * time.Second)
		w.want("web", "PAUSED")
		if n := w.launcher.running(); n != 1 {
			t.Errorf("%d VMs", n)
		}
		conn, waited, err := w.Dial(t.Context(), "web", 80)
		if err != nil {
			t.Fatal(err)
		}
		_ = waited
		w.want("web", "RUNNING")
		conn.Close()
		time.Sleep(time.Minute + 20*time.Minute + time.Second)
		w.want("web", "STOPPED")
		if view, _ := w.Info(t.Context(), "web"); view.Exit == nil || view.Exit.Reason != instance.IdledOut {
			t.Errorf("exit: %+v", view.Exit)
		}
		if n := w.ports.listening(); n != 1 {
			t.Errorf("%d listeners after an idle stop, want 1", n)
		}
		conn, _, err = w.Dial(t.Context(), "web", 80) // and it starts again
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

func TestBusyGuestStaysAwake(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "job", PauseAfter: "10s"})
		life := w.launcher.only(t)
		for range 10 {
			life.reports <- instance.Report{Busy: true}
			time.Sleep(9 * time.Second)
			w.want("job", "RUNNING")
		}
		time.Sleep(2 * time.Second)
		w.want("job", "PAUSED")
	})
}

func TestExecKeepsAwakeAndResumes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box", PauseAfter: "5s", StopAfter: "never"})
		time.Sleep(6 * time.Second)
		w.want("box", "PAUSED")
		conn, err := w.Exec(t.Context(), "box", client.Exec{Command: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.want("box", "RUNNING")
		if view, _ := w.Info(t.Context(), "box"); len(view.AwakeBecause) != 1 || view.AwakeBecause[0] != "1 running exec" {
			t.Errorf("awake because %v", view.AwakeBecause)
		}
		conn.Close()
		time.Sleep(6 * time.Second)
		w.want("box", "PAUSED")
		time.Sleep(100 * time.Hour)
		w.want("box", "PAUSED")
	})
}

func TestManyConnectionsOneBoot(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web", Expose: []string{"80"}})
		w.launcher.only(t).die(instance.Exit{Reason: instance.Exited})
		synctest.Wait()
		w.want("web", "STOPPED")
		w.launcher.bootTime = 2 * time.Second
		before := w.launcher.launched
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				conn, waited, err := w.Dial(t.Context(), "web", 80)
				if err != nil || waited < 2*time.Second {
					t.Errorf("dial: %s %v", waited, err)
					return
				}
				conn.Close()
			})
		}
		wg.Wait()
		if n := w.launcher.launched - before; n != 1 {
			t.Errorf("%d boots", n)
		}
	})
}

func TestFirstStartThatFailsLeavesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "bad", Expose: []string{"80"}})
		w.launcher.fail = fault.New(fault.CommandNotFound, "", "", "nope: not found")
		_, err := w.Start(t.Context(), "bad")
		if !fault.Is(err, fault.CommandNotFound) || !strings.Contains(err.Error(), `start instance "bad"`) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		w.want("bad", "gone")
		if n := w.ports.listening() + w.launcher.running() + len(names(w.home.Instances())) + len(names(w.home.Runs())); n != 0 {
			t.Errorf("%d things are left", n)
		}
		w.launcher.fail = nil
		// one that has run before stays, with the reason
		w.started(client.Create{Name: "good"})
		w.Stop(t.Context(), "good", 0)
		w.launcher.fail = fault.New(fault.BootFailed, "", "", "the disk is bad")
		w.Start(t.Context(), "good")
		view, err := w.Info(t.Context(), "good")
		if err != nil || view.Exit.Reason != instance.BootFailed || view.Exit.Error != "the disk is bad" {
			t.Errorf("%+v %v", view.Exit, err)
		}
	})
}

func TestStopWhileStarting(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "slow"})
		w.Stop(t.Context(), "slow", 0)
		w.launcher.bootTime = time.Minute
		failed := make(chan error, 1)
		go func() {
			_, err := w.Start(t.Context(), "slow")
			failed <- err
		}()
		time.Sleep(time.Second)
		w.want("slow", "STARTING")
		if err := w.Stop(t.Context(), "slow", 0); err != nil {
			t.Fatal(err)
		}
		w.want("slow", "STOPPED")
		if err := <-failed; err == nil {
			t.Error("the start succeeded")
		}
		if n := w.launcher.running(); n != 0 {
			t.Errorf("%d VMs", n)
		}
	})
}

func TestRefusalsChangeNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "taken"})
		for name, c := range map[string]struct {
			spec client.Create
			kind fault.Kind
		}{
			"name":      {client.Create{Name: "Bad_Name"}, fault.Invalid},
			"taken":     {client.Create{Name: "taken", Expose: []string{"80"}}, fault.NameTaken},
			"port":      {client.Create{Name: "p", Expose: []string{"7:80"}}, fault.PortTaken},
			"expose":    {client.Create{Name: "p", Expose: []string{"x"}}, fault.Invalid},
			"twice":     {client.Create{Name: "p", Expose: []string{"80", "80"}}, fault.Invalid},
			"memory":    {client.Create{Name: "p", Memory: 1 << 50}, fault.Invalid},
			"tiny":      {client.Create{Name: "p", Memory: 1 << 20}, fault.Invalid},
			"cpus":      {client.Create{Name: "p", CPUs: 4096}, fault.Invalid},
			"disk":      {client.Create{Name: "p", Disk: 1}, fault.Invalid},
			"net":       {client.Create{Name: "p", Net: "bridge"}, fault.Invalid},
			"secret":    {client.Create{Name: "p", Secrets: []string{"NOPE"}}, fault.SecretMissing},
			"workspace": {client.Create{Name: "p", Workspace: &client.Workspace{Path: "/does/not/exist"}}, fault.Workspace},
			"file":      {client.Create{Name: "p", Workspace: &client.Workspace{Path: "/etc/passwd"}}, fault.Workspace},
			"idle":      {client.Create{Name: "p", PauseAfter: "10ms"}, fault.Invalid},
			"env":       {client.Create{Name: "p", Env: map[string]string{"A=B": ""}}, fault.Invalid},
		} {
			if _, err := w.Create(t.Context(), c.spec); !fault.Is(err, c.kind) {
				t.Errorf("%s: %v, want %s", name, err, c.kind)
			} else if f := fault.As(err); f.What == "" || f.Why == "" {
				t.Errorf("%s: an error of one part: %+v", name, f)
			}
		}
		list, _ := w.List(t.Context())
		if len(list) != 1 || w.ports.listening() != 0 {
			t.Errorf("%d instances, %d listeners", len(list), w.ports.listening())
		}
	})
}

func TestEphemeralGoesWithItsClient(t *testing.T) {
	for _, half := range []bool{false, true} {
		goesWithItsClient(t, half)
	}
}

func goesWithItsClient(t *testing.T, half bool) {
	in(t, func(t *testing.T, w *world) {
		view := w.create(client.Create{Name: "run", Ephemeral: true})
		if _, err := os.Stat(view.Workspace.Path); err != nil {
			t.Fatal(err)
		}
		conn, _, err := w.Run(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		w.want("run", "RUNNING")
		if half {
			conn.(Stream).CloseWrite()
		} else {
			conn.Close()
		}
		time.Sleep(time.Second)
		w.want("run", "gone")
		if _, err := os.Stat(view.Workspace.Path); !os.IsNotExist(err) {
			t.Errorf("the temporary workspace: %v", err)
		}
	})
}

func TestAdoption(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		for _, name := range []string{"runs", "paused", "dies", "stopped", "starting"} {
			w.started(client.Create{Name: name, Expose: []string{"80"}, PauseAfter: "never"})
		}
		w.Pause(t.Context(), "paused")
		w.Stop(t.Context(), "stopped", 0)
		w.Stop(t.Context(), "starting", 0)
		w.launcher.bootTime = time.Hour
		go w.Start(t.Context(), "starting")
		time.Sleep(time.Second)
		dies, _ := w.find(t.Context(), "dies")
		run := dies.rec.Run
		w.leave()
		w.launcher.lives[w.home.Run(run).Dir].die(instance.Exit{Reason: instance.Exited, Code: 4})
		nobodys := []string{w.home.Run("run-nobody").Dir, w.home.Instance("inst-nobody").Dir, w.home.TemporaryWorkspace("inst-nobody")}
		for _, dir := range nobodys {
			os.MkdirAll(dir, 0o700)
		}
		w.open()
		synctest.Wait()
		for _, dir := range nobodys {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
		for name, state := range map[string]string{"runs": "RUNNING", "paused": "PAUSED", "dies": "STOPPED", "stopped": "STOPPED", "starting": "STOPPED"} {
			w.want(name, state)
		}
		if view, _ := w.Info(t.Context(), "dies"); view.Exit == nil || view.Exit.Code != 4 {
			t.Errorf("dies: %+v", view.Exit)
		}
		if n := w.launcher.running(); n != 2 {
			t.Errorf("%d VMs run, want 2", n)
		}
		conn, _, err := w.Dial(t.Context(), "paused", 80)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

func TestEphemeralThatNobodyRuns(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "left", Ephemeral: true})
		time.Sleep(unclaimed - time.Second)
		w.want("left", "STOPPED")
		time.Sleep(2 * time.Second)
		w.want("left", "gone")
	})
}

// A registry that was lost must not take the disks with it.
func TestLostRegistry(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		view := w.started(client.Create{Name: "precious"})
		w.Stop(t.Context(), "precious", 0)
		w.leave()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(w.home.Registry() + suffix)
		}
		w.open()
		if _, err := os.Stat(w.home.Instance(view.ID).Disk()); err != nil {
			t.Error(err)
		}
	})
}

// A daemon that was killed in the middle of a start leaves a VM whose command never began.
func TestAdoptionOfAStartThatNobodyWaitsFor(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "box"})
		a, _ := w.find(t.Context(), "box")
		rec := a.rec
		w.Stop(t.Context(), "box", 0)
		rec.State, rec.Run = instance.Starting, "run-aaaaaaaaaaaa"
		if err := w.Store.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		w.leave()
		dir := w.home.Run(rec.Run).Dir
		w.launcher.lives[dir] = &fakeLife{ended: make(chan struct{})}
		w.open()
		synctest.Wait()
		w.want("box", "STOPPED")
		if n := w.launcher.running(); n != 0 {
			t.Errorf("%d VMs", n)
		}
		if view, _ := w.Info(t.Context(), "box"); view.Exit.Reason != instance.BootFailed {
			t.Errorf("exit: %+v", view.Exit)
		}
	})
}

// The router closes the connections that it keeps when the actor tells it to rest:
// the actor must not wait for itself.
func TestRestClosesConnections(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "web", Expose: []string{"80"}})
		conn, _, err := w.Dial(t.Context(), "web", 80)
		if err != nil {
			t.Fatal(err)
		}
		w.ports.rest = func() { conn.Close() }
		if err := w.Pause(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		w.want("web", "PAUSED")
		if err := w.Stop(t.Context(), "web", 0); err != nil {
			t.Fatal(err)
		}
	})
}
