package e2e

import (
	"fmt"
	"time"
)

// starters are homes whose starts are made from different things.
type starters struct {
	names []string
	homes []*home
	pools []int
}

func newStarters(h *home) starters {
	s := starters{names: []string{"cold boot", "template", "pool"}, homes: []*home{h, newHome(h.t), newHome(h.t)}, pools: []int{0, 0, 1}}
	for i, one := range s.homes {
		if i > 0 {
			one.stock(s.pools[i])
		}
		one.ok("run", "--", "true")
	}
	return s
}

// ready waits until the ith home has what its starts are made from.
func (s starters) ready(i int) {
	if i > 0 {
		s.homes[i].stocked(1, s.pools[i])
	}
}

// inTurns measures act n times in each home, after before, and adds a row for each.
func (s starters) inTurns(out *table, what string, n int, before, act func(*home)) {
	took := make([]series, len(s.homes))
	for range n {
		for i, one := range s.homes {
			before(one)
			s.ready(i)
			took[i].took(func() { act(one) })
		}
	}
	for i, name := range s.names {
		out.times(fmt.Sprintf("%s: %s", what, name), took[i])
	}
	for i, name := range s.names[1:] {
		out.ratio(name+" ÷ cold boot", float64(took[i+1].at(50)), float64(took[0].at(50)))
	}
}

// measureStarts compares starts by what they are made from: of a run from the
// command's start to its end, of a server from the request to the answer.
func measureStarts(h *home, out *table) {
	s := newStarters(h)
	nothing := func(*home) {}
	s.inTurns(out, "run -- true", 30, nothing, func(h *home) { h.ok("run", "--", "true") })
	s.inTurns(out, "run -- python3 -c pass", 30, nothing, func(h *home) { h.ok("run", "--", "python3", "-c", "pass") })
	urls := map[*home]string{}
	for _, one := range s.homes {
		urls[one] = one.serve("web", "--pause-after", "1s", "--stop-after", "1s")
	}
	stopped := func(h *home) { h.state("web", "STOPPED", time.Minute) }
	s.inTurns(out, "first answer of http.server from STOPPED", 10, stopped, func(h *home) { h.page(urls[h], "page of web\n") })
	// One after another, as fast as they come: the pool is filled behind them.
	fast := s.homes[2]
	fast.ok("instance", "delete", "--force", "web")
	s.ready(2)
	var row series
	for range 20 {
		row.took(func() { fast.ok("run", "--", "true") })
	}
	out.add("20 runs in a row: first, slowest", ms(row[0]), ms(row.at(100)), "20")
}
