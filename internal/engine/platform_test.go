package engine

import (
	"runtime"
	"testing"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// foreign is a platform that this machine is not of.
var foreign = map[string]string{"amd64": "linux/arm64", "arm64": "linux/amd64"}[runtime.GOARCH]

// TestPlatform goes with the instance from its creation to its machine. The backend that
// is configured is for the host's own; one that is named is asked for.
func TestPlatform(t *testing.T) {
	w := newWorld(t)
	w.config.Backend = hostly
	w.leave()
	w.open()
	defer w.leave()
	for given, want := range map[string]string{"": instance.Host, foreign: foreign} {
		view := w.started(client.Create{Name: "of-" + instance.Arch(given), Platform: given})
		if view.Platform != want {
			t.Errorf("of %q it is %s", given, view.Platform)
		}
		l := w.launcher.only(t).launch
		if err := w.Delete(t.Context(), view.ID, true); err != nil {
			t.Fatal(err)
		}
		if l.Arch != instance.Arch(want) {
			t.Errorf("of %q the machine is of %s", given, l.Arch)
		}
	}
	for name, c := range map[string]client.Create{
		"a word":            {Name: "x", Platform: "linux/s390x"},
		"the named backend": {Name: "x", Platform: foreign, Backend: hostly},
	} {
		if _, err := w.Create(t.Context(), c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
