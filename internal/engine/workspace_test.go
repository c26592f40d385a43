package engine

import (
	"os"
	"path/filepath"
	"testing"

	"aegis/client"
	"aegis/internal/fault"
)

// TestRefusedCreationLeavesNoWorkspace: what was made for it goes, and nothing else.
func TestRefusedCreationLeavesNoWorkspace(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		refused := client.Create{Workspace: &client.Workspace{Path: "data"}, Secrets: []string{"MISSING"}}
		dir := w.home.Workspace("data")
		if _, err := w.Create(t.Context(), refused); !fault.Is(err, fault.SecretMissing) {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %v", dir, err)
		}
		w.create(client.Create{Workspace: &client.Workspace{Path: "data"}})
		if _, err := w.Create(t.Context(), refused); !fault.Is(err, fault.SecretMissing) {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("another's workspace went: %v", err)
		}
		run := client.Create{Ephemeral: true, Secrets: []string{"MISSING"}}
		if _, err := w.Create(t.Context(), run); !fault.Is(err, fault.SecretMissing) {
			t.Fatal(err)
		}
		if left := names(w.home.TemporaryWorkspaces()); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestWorkspaceIsSharedByCreations: one that fails takes no directory from another.
func TestWorkspaceIsSharedByCreations(t *testing.T) {
	for name, c := range map[string]struct {
		first, second bool // which of the two succeed
		file, there   bool
	}{
		"both fail":            {there: false},
		"the first succeeds":   {first: true, there: true},
		"the second succeeds":  {second: true, there: true},
		"both fail, with work": {file: true, there: true},
	} {
		t.Run(name, func(t *testing.T) {
			var all workspaces
			dir := filepath.Join(t.TempDir(), "data")
			first, err := all.take(dir)
			if err != nil {
				t.Fatal(err)
			}
			second, err := all.take(dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.file {
				if err := os.WriteFile(filepath.Join(dir, "work"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			first(c.first)
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("the first took it from the second: %v", err)
			}
			second(c.second)
			if _, err := os.Stat(dir); (err == nil) != c.there || len(all.held) > 0 {
				t.Errorf("at the end: %v, %d held", err, len(all.held))
			}
		})
	}
}
