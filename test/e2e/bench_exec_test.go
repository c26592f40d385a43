package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timedTrue runs true in a loop of the guest's shell and prints how long each
// took, in microseconds.
const timedTrue = `for i in {1..10}; do a=${EPOCHREALTIME/./}; /bin/true; b=${EPOCHREALTIME/./}; echo $((b-a)); done`

// measureExec compares an exec, from the start of aegis to its end, with the same
// program run by the guest's shell. What aegis itself takes is its version.
func (f fleet) measureExec() {
	exec, row, inside := f.series(), f.series(), f.series()
	command := func(m *member) { m.ok("exec", "web", "--", "true") }
	var start series
	for range max(1, *rounds/10) {
		for range 10 {
			for _, m := range f.members {
				m.in(exec).took(func() { command(m) })
			}
			start.took(func() { f.members[0].ok("version") })
		}
		for _, m := range f.members {
			command(m)
			for range 10 {
				m.in(row).took(func() { command(m) })
			}
			for _, line := range strings.Fields(m.ok("exec", "web", "--", "bash", "-c", timedTrue)) {
				us, err := strconv.Atoi(line)
				if err != nil {
					m.t.Fatal(err)
				}
				*m.in(inside) = append(*m.in(inside), time.Duration(us)*time.Microsecond)
			}
		}
	}
	f.rows("exec -- true", exec)
	f.rows("exec -- true, one after another", row)
	f.rows("true in the guest's shell", inside)
	for i, origin := range startOrigins {
		var ratio []cell
		for c := range row[i] {
			ratio = append(ratio, cell{fmt.Sprintf("%.2f", float64(row[i][c].at(50))/float64(inside[i][c].at(50)))})
		}
		f.out.row("  one after another ÷ true in the guest: "+origin, "", ratio...)
	}
	f.out.times("aegis version: the command's own start", start)
}
