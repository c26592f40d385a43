package shim

import (
	"fmt"
	"time"
)

// A guest may be refused thousands of times a second; its log gets at most this many
// lines at once, and then one in each denialEvery.
const (
	denialBurst = 10
	denialEvery = 2 * time.Second
)

// denials thins the lines about refusals out.
type denials struct {
	spent  int       // of the burst
	since  time.Time // when a line was last paid back
	unsaid int
}

// line is what the log gets, or "" when this one is only counted. It must not be
// called by two goroutines at once.
func (d *denials) line(text string, now time.Time) string {
	if back := int(now.Sub(d.since) / denialEvery); back > 0 || d.since.IsZero() {
		d.spent, d.since = max(0, d.spent-back), now
	}
	if d.spent >= denialBurst {
		d.unsaid++
		return ""
	}
	d.spent++
	line := "network: denied " + text
	if d.unsaid > 0 {
		line += fmt.Sprintf(" (and %d more before it)", d.unsaid)
		d.unsaid = 0
	}
	return line
}
