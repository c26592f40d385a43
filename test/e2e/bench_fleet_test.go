package e2e

import (
	"encoding/json"
	"fmt"
	"slices"

	"aegis/client"
)

// origins of a start, in the order of the rows.
var startOrigins = []string{"cold", "template", "pool"}

// member is a home whose VMs are all made in one way, by one monitor.
type member struct {
	*home
	origin string
	column int // of the table: whose monitor it is
}

// fleet are the members that are measured in turns.
type fleet struct {
	out     *table
	members []*member
}

// columns begin a home's daemon with this machine's monitor, and with Debian 13's; or they
// say why that can't be.
var columns = []func(*home) string{func(*home) string { return "" }, (*home).upOnDebian13}

// newFleet makes a member for each way to start and each monitor: this machine's, and
// Debian 13's where it can be had. Each has run a program, so that nothing is new to it.
func newFleet(h *home, out *table) fleet {
	f := fleet{out: out}
	for column, up := range columns {
		for i, origin := range startOrigins {
			one := &member{newHome(h.t), origin, column}
			if origin != startOrigins[0] {
				one.stock(i - 1)
			}
			if why := up(one.home); why != "" {
				fmt.Println(why)
				return f
			}
			one.ok("run", "--", "true")
			f.members = append(f.members, one)
		}
		out.column(column, f.members[len(f.members)-1].monitorBuild())
	}
	return f
}

// monitorBuild is the build of the monitor that a home's daemon uses.
func (h *home) monitorBuild() string {
	h.t.Helper()
	var s client.Status
	if err := json.Unmarshal([]byte(h.ok("status", "--json")), &s); err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(s.Backends, func(b client.Backend) bool { return b.Name == s.Backend })
	if i < 0 {
		h.t.Fatalf("status: %+v", s)
	}
	return s.Backends[i].Build
}

// pool is how many VMs wait in the member's pool.
func (m *member) pool() int {
	if m.origin == "pool" {
		return 1
	}
	return 0
}

// rest waits until no member makes anything ahead, or ends what is over: instances is how
// many VMs each has beside those that wait.
func (f fleet) rest(instances int) {
	for _, m := range f.members {
		if m.origin != startOrigins[0] {
			m.stocked(1, m.pool())
		}
		m.eventually(commandTime, "what has ended is gone", func() error {
			if runs := m.runs(); len(runs) > m.pool()+instances {
				return fmt.Errorf("%v", runs)
			}
			return nil
		})
	}
}

// each measures act n times in every member, in turns, each time after before, and adds a
// row for each way to start. Cold boots, which take the longest, have a turn in so many.
func (f fleet) each(what string, n, cold int, before, act func(*member)) [][]series {
	took := f.series()
	for i := range n {
		for _, m := range f.members {
			if m.origin == startOrigins[0] && i%cold != 0 {
				continue
			}
			before(m)
			m.in(took).took(func() { act(m) })
		}
	}
	f.rows(what, took)
	return took
}

// series has one for each way to start and column.
func (f fleet) series() [][]series {
	took := make([][]series, len(startOrigins))
	for i := range took {
		took[i] = make([]series, len(f.members)/len(startOrigins))
	}
	return took
}

func (m *member) in(took [][]series) *series {
	return &took[slices.Index(startOrigins, m.origin)][m.column]
}

// rows adds what was measured, and the ratios to the first way to start.
func (f fleet) rows(what string, took [][]series) {
	for i, origin := range startOrigins {
		f.out.times(what+": "+origin, took[i]...)
	}
	for i, origin := range startOrigins[1:] {
		var cells []cell
		for c, s := range took[i+1] {
			cells = append(cells, cell{fmt.Sprintf("%.2f", float64(s.at(50))/float64(took[0][c].at(50)))})
		}
		f.out.row("  "+origin+" ÷ "+startOrigins[0], "", cells...)
	}
}
