package e2e

import "time"

// weighIdle adds what the processes of each member's instances have in memory that no
// other process has, and how much of it the monitor has, in which the guest's memory is.
func (f fleet) weighIdle(what string) {
	time.Sleep(settleTime)
	all, monitors := f.weights(), f.weights()
	for _, m := range f.members {
		for _, l := range m.lives() {
			if l["fs"].pid == 0 {
				continue // it waits in the pool
			}
			for role, p := range l {
				_, private, err := p.memory()
				if err != nil {
					m.t.Errorf("weigh %v: %v", p, err)
				}
				all[m.origin][m.column] += private
				if role == "vmm" {
					monitors[m.origin][m.column] += private
				}
			}
		}
	}
	for _, origin := range startOrigins {
		f.out.row(what+": private memory of an instance: "+origin, "1", weighed(all[origin])...)
		f.out.row("  of its monitor", "1", weighed(monitors[origin])...)
	}
}

// weights has one for each way to start and column.
func (f fleet) weights() map[string][]int64 {
	out := map[string][]int64{}
	for _, origin := range startOrigins {
		out[origin] = make([]int64, len(f.members)/len(startOrigins))
	}
	return out
}

func weighed(bytes []int64) (cells []cell) {
	for _, b := range bytes {
		cells = append(cells, cell{mib(b)})
	}
	return cells
}
