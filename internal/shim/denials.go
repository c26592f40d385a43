package shim

import (
	"fmt"
	"time"

	"aegis/internal/egress"
	"aegis/internal/instance"
)

// A guest may be refused thousands of times a second; of that its log gets, and who
// watches is told, at most this many at once, and then one in each denialEvery.
const (
	denialBurst = 10
	denialEvery = 2 * time.Second
)

// denials thins refusals out.
type denials struct {
	spent  int       // of the burst
	since  time.Time // when one was last paid back
	untold int
}

// thin returns what is told of a refusal, or nil when it is only counted. It must
// not be called by two goroutines at once.
func (d *denials) thin(network string, why *egress.Denied, now time.Time) *instance.Denial {
	if back := int(now.Sub(d.since) / denialEvery); back > 0 || d.since.IsZero() {
		d.spent, d.since = max(0, d.spent-back), now
	}
	if d.spent >= denialBurst {
		d.untold++
		return nil
	}
	d.spent++
	told := &instance.Denial{Network: network, Target: why.Target, Class: string(why.Class), Why: why.Why, Untold: d.untold}
	d.untold = 0
	return told
}

// denialLine is a denial in the instance's log.
func denialLine(d *instance.Denial) string {
	line := "network: denied " + d.Network + " " + d.Target
	if d.Class != "" {
		line += " (" + d.Class + ")"
	}
	line += ": " + d.Why
	if d.Untold > 0 {
		line += fmt.Sprintf(" (and %d more before it)", d.Untold)
	}
	return line
}
