package shim

import (
	"time"

	"aegis/internal/wire"
)

// phases are the steps of a start in the order of their ends, one at each.
type phases []struct {
	name string
	end  time.Time
}

// phase says that a step has ended now. The first one's name is empty: it is the
// beginning.
func (r *run) phase(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases = append(r.phases, struct {
		name string
		end  time.Time
	}{name, time.Now()})
}

// since is how long each step took, counted from a moment that may be later than the
// first ones: what was over by then is left out.
func (p phases) since(begin time.Time) wire.Stages {
	stages := wire.Stages{}
	for _, step := range p {
		if took := step.end.Sub(begin); took > 0 {
			begin = step.end
			if step.name != "" {
				stages[step.name] += took
			}
		}
	}
	return stages
}

// within puts what the guest says of its own steps in the place of those of ours that
// they are part of: its boot is part of `hello`, and all else of `link`. Each of ours
// keeps what is left of it, so that all together explain the time.
func within(ours, guests wire.Stages) wire.Stages {
	for name, took := range guests {
		whole := "link"
		if name == "kernel" || name == "modules" {
			whole = "hello"
		}
		took = min(took, ours[whole])
		ours[whole] -= took
		ours[name] += took
	}
	return ours
}
