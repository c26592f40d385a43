package engine

import (
	"testing"

	"aegis/client"
)

// TestDiscard lets only a run's disk go unwritten.
func TestDiscard(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "run", Ephemeral: true})
		conn, _, err := w.Run(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		w.started(client.Create{Name: "kept"})
		for name, want := range map[string]bool{"run": true, "kept": false} {
			a, err := w.find(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.launcher.lives[w.home.Run(a.rec.Run).Dir].launch.Assignment.Discard; got != want {
				t.Errorf("the disk of %s may be discarded: %v, want %v", name, got, want)
			}
		}
	})
}
