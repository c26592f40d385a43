package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// TestWaitingVMDies kills what waits: it is forgotten, and another takes its place.
func TestWaitingVMDies(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		first := w.launcher.ahead[1]
		w.launcher.lives[first.RunDir].die(instance.Exit{Reason: instance.VMDied})
		if n := w.pooled(); n != 1 || len(w.launcher.ahead) != 3 {
			t.Errorf("%d wait after one died, %d were launched", n, len(w.launcher.ahead))
		}
		if _, err := os.Stat(first.RunDir); err == nil {
			t.Error("its directory is left")
		}
		if got := w.origin(client.Create{Name: "b"}); got != fromPool {
			t.Errorf("the next start: %s", got)
		}
	})
}

// TestWaitingVMDiesAtItsAssignment races a start with the death of what it takes.
func TestWaitingVMDiesAtItsAssignment(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		for i := range 20 {
			w.pooled()
			last := w.launcher.ahead[len(w.launcher.ahead)-1]
			life := w.launcher.lives[last.RunDir]
			w.create(client.Create{Name: "b"})
			go life.die(instance.Exit{Reason: instance.VMDied})
			if i%2 == 0 {
				synctest.Wait()
			}
			view, err := w.Start(t.Context(), "b")
			if err != nil { // it may have died as soon as it ran
				t.Errorf("start %d: %s %v", i, view.State, err)
			}
			if err := w.Delete(t.Context(), "b", true); err != nil && !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
		}
	})
}

// TestSpoiledTemplateFallsBack makes every start from a template or the pool fail.
func TestSpoiledTemplateFallsBack(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		w.launcher.mu.Lock()
		w.launcher.spoiled = "its memory is gone"
		w.launcher.lives[w.launcher.ahead[1].RunDir].fail = fault.New(fault.BootFailed, "", "", "it hangs")
		w.launcher.mu.Unlock()
		view := w.started(client.Create{Name: "b"})
		if view.Wakes[0].Origin != fromCold || len(view.Wakes) != 1 {
			t.Errorf("wakes: %+v", view.Wakes)
		}
		var told []string
		for event := range w.Events(t.Context(), false) {
			if event.Event == eventFellBack {
				told = append(told, event.Name+" "+event.Reason)
			}
		}
		if len(told) != 2 || !strings.Contains(told[0], "it hangs") || !strings.Contains(told[1], "its memory is gone") {
			t.Errorf("events: %q", told)
		}
		body, err := os.ReadFile(filepath.Join(w.home.Instance(view.ID).Logs(), "000001.ndjson"))
		if err != nil || !strings.Contains(string(body), "its memory is gone") {
			t.Errorf("its log: %s %v", body, err)
		}
		waiting := w.pooled() // first: what is being made ends meanwhile
		if n := w.launcher.running(); n != 2+waiting {
			t.Errorf("%d VMs run", n)
		}
	})
}

// TestUsersFailureIsNoTemplates holds that a command that is not found removes no
// template and is not tried again.
func TestUsersFailureIsNoTemplates(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		w.launcher.lives[w.launcher.ahead[1].RunDir].fail = fault.New(fault.CommandNotFound, "", "", "nope: not found")
		w.create(client.Create{Name: "b"})
		if _, err := w.Start(t.Context(), "b"); !fault.Is(err, fault.CommandNotFound) {
			t.Errorf("%v", err)
		}
		if len(w.ListTemplates()) != 1 || w.pooled() != 1 {
			t.Error("the template is gone")
		}
	})
}

// TestBrokenMakerIsGivenUp lets every maker fail.
func TestBrokenMakerIsGivenUp(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.launcher.unsaved = "no template of this"
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			if got := w.origin(client.Create{Name: name}); got != fromCold {
				t.Errorf("%s: %s", name, got)
			}
			w.pooled()
		}
		if n := len(w.launcher.ahead); n != triesMost {
			t.Errorf("it was tried %d times", n)
		}
		if left := names(w.home.Templates()); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestDaemonEndsWhileItMakes ends the engine with a maker and with a filler under way.
func TestDaemonEndsWhileItMakes(t *testing.T) {
	for _, made := range []int{0, 1} {
		stocked(t, func(t *testing.T, w *world) {
			w.launcher.hang = made == 0
			w.started(client.Create{Name: "a"})
			synctest.Wait()
			if made == 1 {
				w.launcher.hang = true
				w.started(client.Create{Name: "b"}) // takes the one; the next hangs
				synctest.Wait()
			}
			before := w.launcher.running()
			w.leave()
			if n := w.launcher.running(); n != made+1 || before != made+2 {
				t.Errorf("%d VMs ran, %d run on; the instances are %d", before, n, made+1)
			}
			if runs := names(w.home.Runs()); len(runs) > made+1 {
				t.Errorf("runs: %v", runs)
			}
			w.launcher.hang = false
			w.open()
			w.want("a", "RUNNING")
		})
	}
}

// TestDaemonIsKilledWhileVMsWait opens a home over what a killed daemon left.
func TestDaemonIsKilledWhileVMsWait(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		w.started(client.Create{Name: "b"})
		w.pooled()
		run := w.home.Run("run-" + "0123456789ab")
		if err := os.MkdirAll(run.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		orphan, err := w.launcher.Launch(t.Context(), instance.Launch{Run: "run-0123456789ab", RunDir: run.Dir, Scratch: run.Scratch()})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(w.home.Template("abc").Unfinished().Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.leave()
		w.open()
		if !orphan.(*fakeLife).over() {
			t.Error("a VM that is nobody's lives on")
		}
		if _, err := os.Stat(run.Dir); err == nil {
			t.Error("its directory is left")
		}
		if left := names(w.home.Templates()); len(left) != 1 {
			t.Errorf("templates: %v", left)
		}
		w.want("b", "RUNNING")
		if list := w.ListTemplates(); len(list) != 1 || !list[0].InUse {
			t.Errorf("the template of an adopted VM: %+v", list)
		}
		if err := w.Stop(t.Context(), "b", 0); err != nil {
			t.Fatal(err)
		}
		if w.ListTemplates()[0].InUse {
			t.Error("still in use after its last VM")
		}
	})
}
