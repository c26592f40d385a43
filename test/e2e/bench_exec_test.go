package e2e

import (
	"strconv"
	"strings"
	"time"
)

// timedTrue runs true in a loop of the guest's shell and prints how long each
// took, in microseconds.
const timedTrue = `for i in {1..10}; do a=${EPOCHREALTIME/./}; /bin/true; b=${EPOCHREALTIME/./}; echo $((b-a)); done`

// measureExec compares an exec, from the start of aegis to its end, with the same
// program run by the guest's shell. What aegis itself takes is its version.
func measureExec(h *home, out *table) {
	h.ok("instance", "start", "--name", "warm", "--", "sleep", "infinity")
	for range 5 {
		h.ok("exec", "warm", "--", "true")
	}
	var exec, inside, start series
	for range 5 {
		for range 10 {
			exec.took(func() { h.ok("exec", "warm", "--", "true") })
			start.took(func() { h.ok("version") })
		}
		for _, line := range strings.Fields(h.ok("exec", "warm", "--", "bash", "-c", timedTrue)) {
			us, err := strconv.Atoi(line)
			if err != nil {
				h.t.Fatal(err)
			}
			inside = append(inside, time.Duration(us)*time.Microsecond)
		}
	}
	out.times("exec -- true", exec)
	out.times("  true in the guest's shell", inside)
	out.ratio("exec ÷ true in the guest", float64(exec.at(50)), float64(inside.at(50)))
	out.add("  exec − true in the guest", ms(exec.at(50)-inside.at(50)), "", "")
	out.times("  aegis version: the command's own start", start)
}
