package engine

import (
	"os"
	"path/filepath"
	"testing"

	"aegis/client"
	"aegis/internal/fault"
)

func TestRecreate(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		kept := filepath.Join(t.TempDir(), "kept")
		os.WriteFile(kept, nil, 0o600)
		dir := &client.Workspace{Path: filepath.Dir(kept)}
		old := w.started(client.Create{Name: "web", Expose: []string{"80", "81"}, Workspace: dir})
		for name, c := range map[string]client.Create{
			"a wrong size":      {Name: "web", Recreate: true, Memory: 1},
			"a missing secret":  {Name: "web", Recreate: true, Secrets: []string{"MISSING"}},
			"a lost workspace":  {Name: "web", Recreate: true, Workspace: &client.Workspace{Path: kept + "/no"}},
			"without the word":  {Name: "web"},
			"without the name":  {Recreate: true},
			"an ID's beginning": {Name: old.ID[:8], Recreate: true, Memory: 1},
		} {
			if _, err := w.Create(t.Context(), c); err == nil {
				t.Errorf("%s: it was created", name)
			}
			w.want("web", "RUNNING")
		}
		view, err := w.Create(t.Context(), client.Create{Name: "web", Recreate: true, Expose: []string{"81", "82"}, Workspace: dir})
		if err != nil {
			t.Fatal(err)
		}
		if view.ID == old.ID || view.State != "STOPPED" {
			t.Errorf("%s is %s after %s", view.ID, view.State, old.ID)
		}
		if view.Ports[0].Host != old.Ports[1].Host || view.Ports[1].Host == old.Ports[0].Host {
			t.Errorf("ports %+v after %+v: 81 keeps its own, and 82 had none", view.Ports, old.Ports)
		}
		if _, err := w.Info(t.Context(), old.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the old one: %v", err)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
		if left := names(w.home.Instances()); len(left) > 1 {
			t.Errorf("left: %v", left)
		}
		if _, err := w.Create(t.Context(), client.Create{Name: "fresh", Recreate: true}); err != nil {
			t.Errorf("one that was not there: %v", err)
		}
		w.want("fresh", "STOPPED")
	})
}
