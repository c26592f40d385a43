package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"aegis/client"
)

// timings are the steps of one run, for --timings. They begin when the command line
// has been read.
type timings struct {
	on    bool
	last  time.Time
	total time.Duration
	rows  [][2]string
}

// mark ends a step.
func (t *timings) mark(step string) {
	now := time.Now()
	t.add(step, float64(now.Sub(t.last).Microseconds())/1000)
	t.total += now.Sub(t.last)
	t.last = now
}

func (t *timings) add(step string, ms float64) {
	t.rows = append(t.rows, [2]string{step, fmt.Sprintf("%.1f", ms)})
}

// started ends the start, of which the daemon says more.
func (t *timings) started(w client.Wake) {
	t.mark("start (" + or(w.Origin, "cold") + ")")
	for _, stage := range slices.Sorted(maps.Keys(w.Stages)) {
		t.add("  "+stage, w.Stages[stage])
	}
}

// print writes the table.
func (t *timings) print(out io.Writer) {
	t.add("total", float64(t.total.Microseconds())/1000)
	for _, row := range t.rows {
		fmt.Fprintf(out, "%-16s %9s\n", row[0], row[1])
	}
}
