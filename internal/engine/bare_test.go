package engine

import (
	"testing"

	"aegis/client"
)

// TestPoolWithoutTemplates is of VMs that were booted. They are for fresh disks of the usual
// size alone, since no other disk can be put into them.
func TestPoolWithoutTemplates(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		if got := w.origin(client.Create{Name: "a", Backend: bare}); got != fromCold {
			t.Errorf("the first start: %s", got)
		}
		if n := w.pooled(); n != 1 || len(w.ListTemplates()) != 0 {
			t.Fatalf("%d VMs wait, %d templates", n, len(w.ListTemplates()))
		}
		w.launcher.mu.Lock()
		launch := w.launcher.ahead[0]
		waiting := w.launcher.lives[launch.RunDir]
		w.launcher.mu.Unlock()
		if launch.Disk == "" || launch.Scratch != "" || launch.Template != "" || launch.Save != "" {
			t.Errorf("it was made by %+v", launch)
		}
		if got := w.origin(client.Create{Name: "small", Backend: bare, Disk: 128 << 20}); got != fromCold {
			t.Errorf("with a disk of another size: %s", got)
		}
		if err := w.Stop(t.Context(), "a", 0); err != nil {
			t.Fatal(err)
		}
		view, err := w.Start(t.Context(), "a")
		if err != nil || view.Wakes[len(view.Wakes)-1].Origin != fromCold {
			t.Errorf("with a disk that is there: %+v, %v", view.Wakes, err)
		}
		if waiting.assigned != nil {
			t.Errorf("the waiting VM was assigned %+v", waiting.assigned)
		}
		if n := w.pooled(); n != 1 {
			t.Fatalf("%d VMs wait", n)
		}
		if got := w.origin(client.Create{Name: "b", Backend: bare}); got != fromPool {
			t.Errorf("with a fresh disk: %s", got)
		}
		if waiting.assigned == nil || !waiting.assigned.Mounted {
			t.Errorf("it was assigned %+v", waiting.assigned)
		}
	})
}
