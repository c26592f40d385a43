package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/vmm/fake"
	"aegis/internal/wire"
)

// made is a template of that backend's.
func made(t *testing.T, backend *fake.Backend) string {
	t.Helper()
	dir := t.TempDir()
	w := beginWith(t, backend, func(l *instance.Launch) { l.Assignment, l.Save = nil, dir })
	if exit := w.exit(); exit.Reason != instance.Saved || exit.Error != "" {
		t.Fatalf("%+v", exit)
	}
	return dir
}

// pool lives a pooled run of the template.
func pool(t *testing.T, backend *fake.Backend, template string, programs ...string) *world {
	t.Helper()
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := os.WriteFile(scratch, []byte("scratch"), 0o600); err != nil {
		t.Fatal(err)
	}
	return beginWith(t, backend, func(l *instance.Launch) {
		l.Assignment, l.Template, l.Scratch = nil, template, scratch
		for _, p := range programs {
			l.Programs = append(l.Programs, []string{p})
		}
	})
}

// ready waits until a pooled run can be assigned.
func (w *world) ready() {
	w.t.Helper()
	w.await(w.booted, "the pooled VM")
	for {
		c, status, err := Connect(w.t.Context(), w.dir)
		if err != nil {
			w.t.Fatal(err)
		}
		if status.Instance != "" || status.Started {
			w.t.Fatalf("%+v", status)
		}
		if status.Ready {
			select { // also to who comes late
			case report := <-c.Reports():
				if !report.Ready {
					w.t.Fatalf("%+v", report)
				}
			case <-time.After(10 * time.Second):
				w.t.Fatal("it is not reported")
			}
			c.Leave()
			return
		}
		c.Leave()
	}
}

// assignment is an instance with a disk that holds its ID.
func assignment(t *testing.T, id string) *instance.Assignment {
	t.Helper()
	dir := t.TempDir()
	to := &instance.Assignment{Instance: id, LogDir: filepath.Join(dir, "log"), LogSize: 1 << 20, Disk: filepath.Join(dir, "disk")}
	if err := os.WriteFile(to.Disk, []byte(id), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func boots(to *instance.Assignment) instance.Boots {
	return instance.Boots{Start: wire.Start{Seed: seed(), Main: wire.Process{ID: wire.MainID, Args: []string{"x"}}, BaseEnv: map[string]string{"KEY": "hidden-value"}}, Secrets: []string{"KEY"}, Assignment: to}
}

func TestTemplateIsMadeAndRestored(t *testing.T) {
	backend := &fake.Backend{Guest: script{}.guest}
	template := made(t, backend)
	w := beginWith(t, backend, func(l *instance.Launch) { l.Template, l.Kernel, l.Initrd = template, "", "" })
	_, stages, err := w.client.Start(t.Context(), boots(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, booted := stages["monitor"]; booted {
		t.Errorf("it has booted: %v", stages)
	}
	if err := w.client.Stop(t.Context(), 0, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Signal != 15 {
		t.Errorf("%+v", exit)
	}
}

func TestTemplateFails(t *testing.T) {
	for name, c := range map[string]struct {
		backend *fake.Backend
		why     string
	}{
		"no snapshots": {&fake.Backend{Guest: script{}.guest, NoSnapshots: true}, "has no templates"},
		"no room":      {&fake.Backend{Guest: script{}.guest, SaveErr: errors.New("no space left")}, "no space left"},
		"unready":      {&fake.Backend{Guest: script{unready: &wire.Error{Kind: fault.BootFailed, Why: "no such disk"}}.guest}, "no such disk"},
	} {
		t.Run(name, func(t *testing.T) {
			w := beginWith(t, c.backend, func(l *instance.Launch) { l.Assignment, l.Save = nil, t.TempDir() })
			if exit := w.exit(); exit.Reason != instance.BootFailed || !strings.Contains(exit.Error, c.why) {
				t.Errorf("%+v", exit)
			}
		})
	}
	w := beginWith(t, &fake.Backend{Guest: script{}.guest, RestoreErr: errors.New("cut short")}, func(l *instance.Launch) { l.Template = t.TempDir() })
	wantFailed(t, w, "cut short")
}

// rehearsed remembers what a guest was asked, in order, and what was on its disk.
type rehearsed struct {
	mu    sync.Mutex
	seen  []string
	seeds []string // of what was to be started or rehearsed
}

func (r *rehearsed) script() script {
	note := func(then operation) operation {
		return func(g *scripted, s *yamux.Stream, req wire.Request) {
			body := make([]byte, 64)
			n, _ := g.disk.ReadAt(body, 0)
			r.mu.Lock()
			program := ""
			if req.Start != nil {
				program = " " + req.Start.Main.Args[0]
				r.seeds = append(r.seeds, string(req.Start.Seed))
			}
			if req.Mount != nil {
				program = fmt.Sprintf(" and %d programs", len(req.Mount.Programs))
			}
			r.seen = append(r.seen, string(req.Op)+program+" on "+string(body[:n]))
			r.mu.Unlock()
			then(g, s, req)
		}
	}
	rehearse := func(_ *scripted, s *yamux.Stream, req wire.Request) {
		if req.Start.Main.Args[0] == "missing" {
			tellHost(s, wire.Reply{Error: &wire.Error{Kind: fault.CommandNotFound, Why: "it is not there"}})
			return
		}
		tellHost(s, wire.Reply{})
		wire.WriteFrame(s, wire.FrameStdout, []byte("for nobody\n"))
		wire.WriteExit(s, wire.Exit{Code: 1})
		tellHost(s, wire.Reply{})
	}
	start := func(g *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{Stages: wire.Stages{"disks": time.Nanosecond}})
		<-g.term
		wire.WriteExit(s, wire.Exit{Signal: 15})
	}
	agree := func(_ *scripted, s *yamux.Stream, _ wire.Request) { tellHost(s, wire.Reply{}) }
	return script{on: map[wire.Op]operation{wire.OpRehearse: note(rehearse), wire.OpStart: note(start), wire.OpMount: note(agree), wire.OpUnmount: note(agree)}}
}

func TestPooledRun(t *testing.T) {
	var guest rehearsed
	backend := &fake.Backend{Guest: guest.script().guest}
	w := pool(t, backend, made(t, backend), "true", "missing", "sh")
	w.ready()
	for what, err := range map[string]error{
		"dial":  func() error { _, err := w.client.Dial(t.Context(), 80, 0); return err }(),
		"pause": w.client.Pause(t.Context()),
		"start": func() error { _, err := w.start(false); return err }(),
	} {
		if !fault.Is(err, fault.WrongState) {
			t.Errorf("%s of a run that is nobody's: %v", what, err)
		}
	}
	if _, err := w.client.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	to := assignment(t, "inst-bbbbbbbbbbbb")
	_, stages, err := w.client.Start(t.Context(), boots(to))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"assign", "resume", "disk", "link", "disks"} {
		if _, ok := stages[name]; !ok {
			t.Errorf("no stage %q in %v", name, stages)
		}
	}
	c, status, err := Connect(t.Context(), w.dir)
	if err != nil || status.Instance != to.Instance || !status.Started || status.Ready {
		t.Errorf("%+v, %v", status, err)
	}
	c.Leave()
	if _, _, err := w.client.Start(t.Context(), boots(assignment(t, "inst-cccccccccccc"))); !fault.Is(err, fault.WrongState) {
		t.Errorf("a second assignment: %v", err)
	}
	if err := w.client.Stop(t.Context(), 0, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	w.exit()
	want := []string{"rehearse true on scratch", "rehearse missing on scratch", "rehearse sh on scratch", "start x on inst-bbbbbbbbbbbb"}
	if !slices.Equal(guest.seen, want) {
		t.Errorf("the guest saw %q", guest.seen)
	}
	// New randomness before each rehearsal, and again for the instance.
	slices.Sort(guest.seeds)
	if n := len(slices.Compact(guest.seeds)); n != 4 || slices.ContainsFunc(guest.seeds, func(s string) bool { return len(s) != 32 }) {
		t.Errorf("%d of 4 seeds are unlike the others: %q", n, guest.seeds)
	}
	if _, err := os.Stat(to.LogDir); err != nil {
		t.Errorf("no log: %v", err)
	}
}

// TestPooledDisk has a pooled run mount a disk of its own, which a new instance gets as
// it is, and one that has a disk never.
func TestPooledDisk(t *testing.T) {
	for name, c := range map[string]struct {
		mounted bool
		want    []string
	}{
		"a new instance":  {true, []string{"rehearse on scratch", "rehearse on scratch", "mount and 3 programs on fresh", "start on fresh"}},
		"one with a disk": {false, []string{"rehearse on scratch", "rehearse on scratch", "mount and 3 programs on fresh", "unmount on fresh", "start on inst-bbbbbbbbbbbb"}},
	} {
		t.Run(name, func(t *testing.T) {
			var guest rehearsed
			backend := &fake.Backend{Guest: guest.script().guest}
			dir := t.TempDir()
			scratch, disk := filepath.Join(dir, "scratch"), filepath.Join(dir, "disk")
			os.WriteFile(scratch, []byte("scratch"), 0o600)
			os.WriteFile(disk, []byte("fresh"), 0o600)
			template := made(t, backend)
			w := beginWith(t, backend, func(l *instance.Launch) {
				l.Assignment, l.Template, l.Scratch, l.Disk, l.Programs = nil, template, scratch, disk, [][]string{{"true"}, {"true"}, {"sh"}}
			})
			w.ready()
			to := assignment(t, "inst-bbbbbbbbbbbb")
			if to.Mounted = c.mounted; c.mounted {
				to.Disk = "/not/opened"
			}
			if _, _, err := w.client.Start(t.Context(), boots(to)); err != nil {
				t.Fatal(err)
			}
			if err := w.client.Stop(t.Context(), 0, instance.StoppedBy); err != nil {
				t.Fatal(err)
			}
			w.exit()
			seen := strings.NewReplacer(" true", "", " x", "").Replace(strings.Join(guest.seen, "; "))
			if seen != strings.Join(c.want, "; ") {
				t.Errorf("the guest saw %q", seen)
			}
		})
	}
}

// A pooled run that is wanted before it is ready is waited for.
func TestAssignedWhileItRehearses(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	backend := &fake.Backend{Guest: on(wire.OpRehearse, func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		close(begun)
		<-goOn
		wire.WriteExit(s, wire.Exit{})
		tellHost(s, wire.Reply{})
	}).guest}
	w := pool(t, backend, made(t, backend), "true")
	w.await(begun, "the rehearsal")
	done := make(chan error, 1)
	go func() {
		_, _, err := w.client.Start(t.Context(), boots(assignment(t, "inst-bbbbbbbbbbbb")))
		done <- err
	}()
	for claimed := false; !claimed; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		claimed = w.owner != nil
		w.mu.Unlock()
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPooledRunFails(t *testing.T) {
	good := &fake.Backend{Guest: script{}.guest}
	template := made(t, good)
	bad := func(g *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{Error: &wire.Error{Kind: fault.Internal, Why: "the disk is still in use"}})
	}
	w := pool(t, &fake.Backend{Guest: on(wire.OpRehearse, bad).guest}, template, "true")
	if exit := w.exit(); exit.Reason != instance.BootFailed || !strings.Contains(exit.Error, "the disk is still in use") {
		t.Errorf("a rehearsal that fails: %+v", exit)
	}
	for name, c := range map[string]struct {
		backend *fake.Backend
		spoil   func(*instance.Assignment)
		why     string
	}{
		"no disk":     {good, func(to *instance.Assignment) { to.Disk += "-not" }, "no such file"},
		"not put in":  {&fake.Backend{Guest: script{}.guest, ReplaceErr: errors.New("the monitor refuses")}, func(*instance.Assignment) {}, "the monitor refuses"},
		"no log":      {good, func(to *instance.Assignment) { to.LogDir = "/dev/null/log" }, "not a directory"},
		"no NIC":      {good, func(to *instance.Assignment) { to.Net = &instance.Net{Mode: "public"} }, "its machine has none"},
		"no such dir": {good, func(to *instance.Assignment) { to.Workspace = &instance.Workspace{Path: "/does/not/exist"} }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := pool(t, c.backend, template)
			w.ready()
			to := assignment(t, "inst-bbbbbbbbbbbb")
			c.spoil(to)
			_, _, err := w.client.Start(t.Context(), boots(to))
			exit := w.exit()
			if err == nil || !strings.Contains(err.Error(), c.why) || exit.Reason != instance.BootFailed || !strings.Contains(exit.Error, c.why) {
				t.Errorf("%v, %+v", err, exit)
			}
		})
	}
}

// A pooled VM that nobody needs is killed; its command never was.
func TestPooledRunIsKilled(t *testing.T) {
	for name, end := range map[string]func(*world) error{
		"kill": func(w *world) error { return w.client.Kill(w.t.Context(), instance.StoppedBy) },
		"stop": func(w *world) error { return w.client.Stop(w.t.Context(), time.Minute, instance.StoppedBy) },
	} {
		t.Run(name, func(t *testing.T) {
			backend := &fake.Backend{Guest: script{}.guest}
			w := pool(t, backend, made(t, backend))
			w.ready()
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			if exit := w.exit(); exit.Reason != instance.StoppedBy || exit.Error != "" {
				t.Errorf("%+v", exit)
			}
		})
	}
}
