package daemon

import (
	"strings"
	"testing"

	"aegis/internal/config"
	"aegis/internal/confine"
	"aegis/internal/fault"
)

// TestChooseRung holds what each word of the configuration makes of each rung, and
// what doctor says of it.
func TestChooseRung(t *testing.T) {
	for _, c := range []struct {
		wanted string
		found  confine.Rung
		want   confine.Rung // "": refused
		check  string
	}{
		{config.ConfineBest, confine.Full, confine.Full, ok},
		{config.ConfineBest, confine.NoLandlock, confine.NoLandlock, warn},
		{config.ConfineBest, confine.NoNamespaces, confine.NoNamespaces, warn},
		{config.ConfineBest, confine.Off, "", fail},
		{config.ConfineFull, confine.Full, confine.Full, ok},
		{config.ConfineFull, confine.NoLandlock, "", fail},
		{config.ConfineFull, confine.Off, "", fail},
		{config.ConfineOff, confine.Full, confine.Off, warn},
		{config.ConfineOff, confine.Off, confine.Off, warn},
	} {
		found := func() confine.Found { return confine.Found{Rung: c.found, Cause: "the cause", Fix: "mend it"} }
		rung, err := chooseRung(c.wanted, found)
		if rung != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s on %s: %q, %v", c.wanted, c.found, rung, err)
		}
		if err != nil && (!fault.Is(err, fault.Backend) || !strings.Contains(err.Error(), "the cause")) {
			t.Errorf("%s on %s: %v", c.wanted, c.found, err)
		}
		check := checkConfinement(c.wanted, found)
		if check.Status != c.check || check.Status != ok && check.Fix == "" || check.Status == fail && check.Fix != "mend it" {
			t.Errorf("%s on %s: %+v", c.wanted, c.found, check)
		}
	}
}
