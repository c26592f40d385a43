package shim

import (
	"os"
	"reflect"
	"testing"

	"aegis/internal/confine"
	"aegis/internal/instance"
)

// TestNeeds holds what a sealed shim goes on opening by name: nothing but its run's, its
// instance's, its template's, and what names are resolved by.
func TestNeeds(t *testing.T) {
	owner := instance.Assignment{LogDir: "/i/logs", Disk: "/i/disk"}
	mounted, connected := owner, owner
	mounted.Mounted, connected.Net = true, &instance.Net{}
	for what, c := range map[string]struct {
		launch instance.Launch
		owner  *instance.Assignment
		want   []string
	}{
		"an instance's":    {instance.Launch{}, &owner, []string{"/run", "/i/logs", "/i"}},
		"its disk mounted": {instance.Launch{}, &mounted, []string{"/run", "/i/logs"}},
		"a template's":     {instance.Launch{Save: "/t"}, nil, []string{"/run", "/t"}},
		"with a network":   {instance.Launch{}, &connected, []string{"/run", "/i/logs", "/i"}},
	} {
		c.launch.RunDir = "/run"
		r := newRun(c.launch)
		want := confine.Reach{Change: c.want}
		if r.owner = c.owner; c.owner != nil {
			r.network = newNetwork(*c.owner)
		}
		if r.network != nil {
			want.Read = r.network.host.Files()
			if os.Geteuid() != 0 {
				want.Read = append(want.Read, "/etc")
			}
		}
		if got := r.needs(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
}
