package shim

import "log/slog"

// yield gives up the run's rank, for which nobody waits yet: for good if it makes a
// template. A host that does not let it is no reason to make nothing.
func (r *run) yield() {
	var err error
	if r.launch.Save != "" {
		err = recede(r.dir)
	} else {
		r.rank, err = yield(r.dir)
	}
	if err != nil {
		slog.Warn("the run is made beside other work as if somebody waited for it", "error", err)
	}
}

// matter takes the rank back, as soon as the host lets it: an instance waits now.
func (r *run) matter() {
	if err := r.rank.restore(); err != nil {
		slog.Warn("the run stays behind other work", "error", err)
	}
}
