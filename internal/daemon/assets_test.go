package daemon

import (
	"errors"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/paths"
	"aegis/internal/vmm/fake"
)

// What was missing may have been installed meanwhile.
func TestChoiceIsKeptOnceItIsGood(t *testing.T) {
	asked := 0
	choose := keepGood(func() choice {
		asked++
		if asked < 3 {
			return choice{err: errors.New("no qemu here")}
		}
		return choice{backend: &fake.Backend{}}
	})
	for range 2 {
		if c := choose(); c.err == nil {
			t.Error("it works without a backend")
		}
	}
	for range 2 {
		if c := choose(); c.err != nil || c.backend == nil {
			t.Errorf("%+v", c)
		}
	}
	if asked != 3 {
		t.Errorf("it asked %d times", asked)
	}
}

// TestImageOfASetup holds that a set-up makes no image for who names another than Aegis's own.
func TestImageOfASetup(t *testing.T) {
	t.Setenv("PATH", "") // nothing can be made
	dir := t.TempDir()
	for _, c := range []struct{ configured, named, fails string }{
		{"", "", "mmdebstrap"}, {"", "default", "mmdebstrap"}, {"", "web:1", ""},
		{"127.0.0.1:1/web", "", "mmdebstrap"}, {"127.0.0.1:1/web", "default", "mmdebstrap"}, {"127.0.0.1:1/web", "web:1", ""},
	} {
		a := newAssets(paths.Home{Dir: dir, Cache: dir}, config.Config{Image: c.configured}, newLog(t.Output()))
		err := a.image(t.Context(), client.SetupFor{Image: c.named}, func(string, string, int64, int64) {})
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q configured, %q named: %v, want %q", c.configured, c.named, err, c.fails)
		}
	}
}
