package e2e

import (
	"fmt"
	"testing"
	"time"
)

// measureStarts compares what is made by a cold boot, from a template and from the pool,
// by each monitor, and the same as a process of the host: runs from the command's start
// to its end, a server from the request to the answer, what such instances do, and what
// they weigh.
func measureStarts(h *home, out *table) {
	f := newFleet(h, out)
	host, why := newPlain(h)
	if why != "" {
		fmt.Println(why)
	}
	for _, part := range []struct {
		name    string
		measure func(fleet, *plain)
	}{
		{"true", func(f fleet, host *plain) { f.measureRuns(host, 1, "true") }},
		{"python", func(f fleet, host *plain) { f.measureRuns(host, 3, "python3", "-c", "pass") }},
		{"row", func(f fleet, _ *plain) { f.measureRow(1); f.measureRow(inARow) }},
		{"server", fleet.measureServers},
		{"idle", fleet.measureIdle},
	} {
		h.t.Run(part.name, func(t *testing.T) {
			began := time.Now()
			part.measure(f, host)
			fmt.Printf("measured start/%s in %s\n", part.name, time.Since(began).Round(time.Second))
		})
	}
}

// measureRuns measures runs of a program, a cold boot once in so many turns.
func (f fleet) measureRuns(host *plain, cold int, program ...string) {
	run := append([]string{"run", "--"}, program...)
	took := f.each(fmt.Sprintf("run -- %s", program), *rounds, cold, func(*member) { f.rest(0) }, func(m *member) { m.ok(run...) })
	host.measure(f.out, fmt.Sprint(program), *rounds, took, func() { host.ok(program...) })
}

// inARow is how many runs come one upon the other.
const inARow = 20

// measureRow runs one after another, as fast as they come, in homes of their own with a
// pool of that size, which is filled behind them.
func (f fleet) measureRow(size int) {
	var first, median, slowest, times []cell
	for _, up := range columns[:len(f.members)/len(startOrigins)] {
		h := newHome(f.members[0].t)
		h.stock(size)
		up(h)
		h.ok("run", "--", "true")
		h.stocked(1, size)
		f.rest(0)
		var took series
		for range inARow {
			took.took(func() { h.ok("run", "--", "true") })
		}
		h.ok("down")
		first, median, slowest = append(first, cell{ms(took[0])}), append(median, cell{ms(took.at(50))}), append(slowest, cell{ms(took.at(100))})
		times = append(times, cell{fmt.Sprintf("%.2f", float64(took.at(100))/float64(took[0]))})
	}
	f.out.row(fmt.Sprintf("%d runs in a row, from a pool of %d: the first", inARow, size), "1", first...)
	f.out.row("  their median", "1", median...)
	f.out.row("  the slowest", "1", slowest...)
	f.out.row("  slowest ÷ first", "", times...)
}

// measureServers measures the first answer of a server that was stopped.
func (f fleet) measureServers(host *plain) {
	urls := map[*member]string{}
	for _, m := range f.members {
		urls[m] = m.serve("late", "--pause-after", "1s", "--stop-after", "1s")
	}
	stopped := func(m *member) { m.state("late", "STOPPED", time.Minute); f.rest(1) }
	took := f.each("first answer of http.server from STOPPED", *rounds, 3, stopped, func(m *member) { m.page(urls[m], "page of late\n") })
	host.measure(f.out, "http.server", *rounds, took, host.firstAnswer)
	for _, m := range f.members {
		m.ok("instance", "delete", "--force", "late")
	}
}

// measureIdle has each member keep one server, and measures execs in it, its wakes, and its
// memory.
func (f fleet) measureIdle(*plain) {
	urls := map[*member]string{}
	for _, m := range f.members {
		f.rest(1) // the ones before it have theirs
		urls[m] = m.serve("web", "--pause-after", "never")
		m.home.origin("web", m.origin)
		m.fetch(urls[m])
	}
	f.rest(1)
	f.weighIdle("idle")
	f.measureExec()
	f.measureWake(urls)
	f.weighIdle("idle, after execs and wakes")
	for _, m := range f.members {
		m.ok("instance", "delete", "--force", "web")
	}
}
