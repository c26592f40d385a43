package instance

import "time"

// RunStatus is what a shim says of its run to a daemon that begins to watch it.
type RunStatus struct {
	Started bool   `json:"started"` // the command runs
	Paused  bool   `json:"paused"`
	PID     int    `json:"pid"`             // of the shim
	Lease   *Lease `json:"lease,omitempty"` // the last that the guest took, if any; it may be over
}

// RunStats are a run's figures, as the host sees them.
type RunStats struct {
	CPU    time.Duration `json:"cpu_ns"` // of the monitor since its start
	Memory []ProcessSize `json:"memory"`
}

// ProcessSize is the memory of one process of a run.
type ProcessSize struct {
	Name     string `json:"name"` // "shim", "vmm", "fs"
	PID      int    `json:"pid"`
	Resident int64  `json:"resident"` // bytes, RSS
	Private  int64  `json:"private"`  // bytes, private dirty and clean (proc(5), smaps_rollup); 0 when unknown
}

// Report is what a shim tells its watcher. Exactly one field is set.
type Report struct {
	Busy  bool   `json:"busy,omitempty"`  // the guest used its processors above noise just now
	Lease *Lease `json:"lease,omitempty"` // the guest took or released its lease; of several the last counts
	Exit  *Exit  `json:"exit,omitempty"`  // the run has ended; the last report
}
