package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/fault"
)

// TestCopyKeepsAwakeAndResumes: a copy is activity, from PAUSED it resumes, and a
// STOPPED instance is not started by it.
func TestCopyKeepsAwakeAndResumes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.create(client.Create{Name: "web", PauseAfter: "1s"})
		if _, err := w.CopyIn(t.Context(), "web", client.CopyIn{Path: "/"}); !fault.Is(err, fault.WrongState) || !strings.Contains(err.Error(), `copy files into instance "web": `) {
			t.Errorf("into a STOPPED one: %v", err)
		}
		if _, err := w.CopyOut(t.Context(), "web", client.CopyOut{Path: "/"}); !fault.Is(err, fault.WrongState) || !strings.Contains(err.Error(), `copy files out of instance "web": `) {
			t.Errorf("out of a STOPPED one: %v", err)
		}
		if _, err := w.Start(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		w.want("web", "PAUSED")
		out, err := w.CopyOut(t.Context(), "web", client.CopyOut{Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.CopyIn(t.Context(), "web", client.CopyIn{Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		view, err := w.Info(t.Context(), "web")
		if err != nil || view.State != "RUNNING" || !slices.Contains(view.AwakeBecause, "2 copies") {
			t.Errorf("while it is copied: %s, %q, %v", view.State, view.AwakeBecause, err)
		}
		out.Close()
		in.Close()
		time.Sleep(2 * time.Second)
		w.want("web", "PAUSED")
	})
}
