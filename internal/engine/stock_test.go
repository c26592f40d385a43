package engine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
)

// stocked runs a test in a world that makes starts from templates.
func stocked(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	in(t, func(t *testing.T, w *world) {
		w.leave()
		w.stocked = true
		w.open()
		f(t, w)
	})
}

// origin starts an instance and says what its VM was made from.
func (w *world) origin(c client.Create) string {
	w.t.Helper()
	return w.started(c).Wakes[0].Origin
}

// pooled is how many VMs wait, when everything has been made that can be.
func (w *world) pooled() int {
	synctest.Wait()
	n, _ := w.Pool()
	return n
}

func TestColdThenTemplateThenPool(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		if got := w.origin(client.Create{Name: "a", Secrets: nil}); got != fromCold {
			t.Errorf("the first start: %s", got)
		}
		if n := w.pooled(); n != 1 {
			t.Fatalf("%d VMs wait", n)
		}
		if n := len(w.ListTemplates()); n != 1 {
			t.Fatalf("%d templates", n)
		}
		w.launcher.bootTime = time.Hour // nothing is made ahead for a while
		w.launcher.mu.Lock()
		waiting := w.launcher.lives[w.launcher.ahead[1].RunDir]
		w.launcher.mu.Unlock()
		if got := w.origin(client.Create{Name: "b"}); got != fromPool {
			t.Errorf("the second start: %s", got)
		}
		if waiting.assigned == nil || waiting.assigned.Instance == "" || !waiting.started.Load() {
			t.Errorf("it was assigned %+v", waiting.assigned)
		}
		if view, _ := w.Info(t.Context(), "b"); view.State != "RUNNING" {
			t.Errorf("b is %s", view.State)
		}
		if !w.ListTemplates()[0].InUse {
			t.Error("a template whose VM runs counts as unused")
		}
		go func() { time.Sleep(time.Second); w.launcher.bootTime = 0 }()
		if got := w.origin(client.Create{Name: "c"}); got != fromTemplate {
			t.Errorf("the third start: %s", got)
		}
	})
}

// TestAheadIsNobodys looks at everything that is launched ahead.
func TestAheadIsNobodys(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.secrets["KEY"] = "hunter2"
		w.started(client.Create{Name: "a", Secrets: []string{"KEY"}, Env: map[string]string{"K": "v"}, Workspace: &client.Workspace{Path: t.TempDir()}})
		w.pooled()
		w.launcher.mu.Lock()
		defer w.launcher.mu.Unlock()
		if len(w.launcher.ahead) != 2 {
			t.Fatalf("%d launches", len(w.launcher.ahead))
		}
		for _, l := range w.launcher.ahead {
			if l.Assignment != nil || len(l.Programs) == 0 || l.Run == "" || strings.Contains(l.Template+l.Save+l.Scratch+l.Base, "inst-") {
				t.Errorf("launched ahead: %+v", l)
			}
		}
	})
}

// TestEachStartHasItsOwnSeed whatever it is made from.
func TestEachStartHasItsOwnSeed(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b", "c"} {
			w.started(client.Create{Name: name})
			w.pooled()
		}
		w.launcher.mu.Lock()
		defer w.launcher.mu.Unlock()
		seeds := map[string]bool{}
		for _, life := range w.launcher.lives {
			if life.started.Load() {
				seeds[string(life.seed)] = len(life.seed) == 32
			}
		}
		if len(seeds) != 3 || !seeds[string(w.launcher.lives[w.launcher.ahead[1].RunDir].seed)] {
			t.Errorf("the seeds of three starts: %v", seeds)
		}
	})
}

func TestNoTemplate(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b"} {
			if got := w.origin(client.Create{Name: name, NoTemplate: true}); got != fromCold {
				t.Errorf("%s: %s", name, got)
			}
		}
		if w.pooled() != 0 || len(w.ListTemplates()) != 0 || len(w.launcher.ahead) != 0 {
			t.Error("something was made ahead of an instance that wants none of it")
		}
	})
}

// TestShapesDoNotMix starts one of another memory: it has its own template, and the
// pool follows.
func TestShapesDoNotMix(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		if got := w.origin(client.Create{Name: "b", Memory: 256 << 20}); got != fromCold {
			t.Errorf("of another memory: %s", got)
		}
		if n := w.pooled(); n != 1 || len(w.ListTemplates()) != 2 {
			t.Errorf("%d wait, %d templates", n, len(w.ListTemplates()))
		}
		if got := w.origin(client.Create{Name: "c", Memory: 256 << 20}); got != fromPool {
			t.Errorf("the second of that memory: %s", got)
		}
		w.pooled()
		if got := w.origin(client.Create{Name: "d"}); got != fromTemplate {
			t.Errorf("back to the first: %s", got)
		}
	})
}

func TestTwoStartsOneWaits(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		w.launcher.bootTime = time.Second
		count := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, name := range []string{"b", "c", "d"} {
			w.create(client.Create{Name: name})
			wg.Go(func() {
				view, err := w.Start(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				count[view.Wakes[0].Origin]++
			})
		}
		wg.Wait()
		if count[fromPool] != 1 || count[fromTemplate] != 2 {
			t.Errorf("%v", count)
		}
	})
}

func TestMemoryIsShort(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		atomic.StoreInt64(&w.memory, memoryFloor+100<<20)
		w.started(client.Create{Name: "a"})
		if n := w.pooled(); n != 0 {
			t.Errorf("%d wait where there is no memory for one", n)
		}
		atomic.StoreInt64(&w.memory, 1<<40)
		w.started(client.Create{Name: "b"})
		if n := w.pooled(); n != 1 {
			t.Errorf("%d wait", n)
		}
		atomic.StoreInt64(&w.memory, memoryFloor-1)
		time.Sleep(2 * memoryEvery)
		if n := w.pooled(); n != 0 {
			t.Errorf("%d wait although memory is short", n)
		}
	})
}

func TestPoolSizes(t *testing.T) {
	for _, size := range []int{0, 3} {
		stocked(t, func(t *testing.T, w *world) {
			w.leave()
			w.config.PoolSize = size
			w.open()
			w.started(client.Create{Name: "a"})
			if n := w.pooled(); n != size {
				t.Errorf("%d wait, want %d", n, size)
			}
			if err := w.Down(context.Background()); err != nil {
				t.Fatal(err)
			}
			if n := w.launcher.running(); n != 0 {
				t.Errorf("%d VMs after down", n)
			}
			if runs := names(w.home.Runs()); len(runs) != 0 {
				t.Errorf("runs after down: %v", runs)
			}
		})
	}
}

// TestNothingIsMadeDuringAStart holds back what is made ahead while an instance starts.
func TestNothingIsMadeDuringAStart(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a", NoTemplate: true})
		w.create(client.Create{Name: "slow"})
		w.launcher.bootTime = time.Minute
		go w.Start(t.Context(), "slow")
		time.Sleep(time.Second)
		w.launcher.bootTime = 0
		w.started(client.Create{Name: "quick"})
		time.Sleep(time.Second)
		if n := len(w.launcher.ahead); n != 0 {
			t.Errorf("%d were launched while an instance starts", n)
		}
		time.Sleep(time.Minute)
		if n := w.pooled(); n != 1 {
			t.Errorf("%d wait in the end", n)
		}
	})
}

// TestStopDuringAStartFromThePool ends in STOPPED with no VM but what waits.
func TestStopDuringAStartFromThePool(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.started(client.Create{Name: "a"})
		w.pooled()
		w.launcher.lives[w.launcher.ahead[1].RunDir].bootTime = time.Minute
		w.create(client.Create{Name: "b"})
		done := make(chan error, 1)
		go func() { _, err := w.Start(t.Context(), "b"); done <- err }()
		time.Sleep(time.Second)
		if err := w.Stop(t.Context(), "b", 0); err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("the start succeeded")
		}
		waiting := w.pooled()
		if n := w.launcher.running(); n != 1+waiting {
			t.Errorf("%d VMs run", n)
		}
	})
}

func TestRunTellsItsStart(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.origin(client.Create{Name: "a"})
		w.pooled()
		w.create(client.Create{Name: "run", Ephemeral: true})
		conn, wake, err := w.Run(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if wake.From != "STOPPED" || wake.Origin != fromPool || wake.At.IsZero() {
			t.Errorf("the start: %+v", wake)
		}
	})
}
