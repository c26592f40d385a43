package engine

import (
	"os"
	"testing"

	"aegis/client"
	"aegis/internal/instance"
)

// TestDiskOfAWaitingVM is an instance's that has none and wants one of that size, and
// nobody else's.
func TestDiskOfAWaitingVM(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.origin(client.Create{Name: "first"})
		for _, c := range []struct {
			name    string
			create  client.Create
			again   bool
			mounted bool
		}{
			{"new", client.Create{Name: "new"}, false, true},
			{"smaller", client.Create{Name: "smaller", Disk: 128 << 20}, false, false},
			{"new, again", client.Create{Name: "new"}, true, false},
		} {
			w.pooled()
			w.launcher.mu.Lock()
			waiting := w.launcher.lives[w.launcher.ahead[len(w.launcher.ahead)-1].RunDir]
			w.launcher.mu.Unlock()
			if err := os.WriteFile(waiting.launch.Disk, []byte("its own"), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.again {
				w.Stop(t.Context(), c.create.Name, 0)
				if _, err := w.Start(t.Context(), c.create.Name); err != nil {
					t.Fatal(err)
				}
			} else {
				w.started(c.create)
			}
			view, err := w.Info(t.Context(), c.create.Name)
			if err != nil || view.State != string(instance.Running) || waiting.assigned == nil {
				t.Fatalf("%s: %+v %v", c.name, view, err)
			}
			if waiting.assigned.Mounted != c.mounted {
				t.Errorf("%s: its disk is the VM's: %v", c.name, waiting.assigned.Mounted)
			}
			body, _ := os.ReadFile(w.home.Instance(view.ID).Disk())
			if (string(body) == "its own") != (c.mounted || c.again) { // again: what it was before
				t.Errorf("%s: the disk holds %q", c.name, body)
			}
			if _, err := os.Stat(waiting.launch.Disk); os.IsNotExist(err) != c.mounted {
				t.Errorf("%s: the VM's disk: %v", c.name, err)
			}
		}
	})
}
