package instance

import "time"

// RunStatus is what a shim says of its run to a daemon that begins to watch it.
type RunStatus struct {
	Instance string `json:"instance,omitempty"` // whose run it is; "" while it is nobody's: it can be killed
	Ready    bool   `json:"ready"`              // a pooled run that waits for its assignment
	Started  bool   `json:"started"`            // the command runs
	Paused   bool   `json:"paused"`
	PID      int    `json:"pid"`             // of the shim
	Lease    *Lease `json:"lease,omitempty"` // the last that the guest took, if any; it may be over
}

// RunStats are a run's figures, as the host sees them.
type RunStats struct {
	CPU    time.Duration `json:"cpu_ns"` // of the monitor since its start
	Memory []ProcessSize `json:"memory"`
	Net    *NetStats     `json:"net,omitempty"` // nil without a network
}

// NetStats is what a guest's network has carried since its start: payload of TCP and
// UDP, in bytes, that of exposed ports with it.
type NetStats struct {
	Sent     uint64 `json:"sent"`     // from the guest
	Received uint64 `json:"received"` // to the guest
	Queries  uint64 `json:"queries"`  // DNS questions
	Denied   uint64 `json:"denied"`   // attempts that the policy refused
	Dropped  uint64 `json:"dropped"`  // frames and connections beyond what a guest may send
}

// ProcessSize is the memory of one process of a run.
type ProcessSize struct {
	Name     string `json:"name"` // "shim", "vmm", "fs", "net"
	PID      int    `json:"pid"`
	Resident int64  `json:"resident"` // bytes, RSS
	Private  int64  `json:"private"`  // bytes, private dirty and clean (proc(5), smaps_rollup); 0 when unknown
}

// Denial is something that a guest tried to reach and was not let to.
type Denial struct {
	Network string `json:"network"` // tcp, udp, icmp or dns
	Target  string `json:"target"`  // address and port, address, or name; printable, at most 256 bytes
	Class   string `json:"class"`   // of the address; empty for a name
	Why     string `json:"why"`
	Untold  int    `json:"untold"` // denials before it that nobody was told of, since they came too fast
}

// Report is what a shim tells its watcher. Exactly one field is set.
type Report struct {
	Ready   bool    `json:"ready,omitempty"`   // a pooled run waits for its assignment from now on
	Busy    bool    `json:"busy,omitempty"`    // the guest used its processors above noise just now
	Traffic bool    `json:"traffic,omitempty"` // the guest's network carried payload just now
	Lease   *Lease  `json:"lease,omitempty"`   // the guest took or released its lease; of several the last counts
	Denied  *Denial `json:"denied,omitempty"`  // the guest was refused something
	Exit    *Exit   `json:"exit,omitempty"`    // the run has ended; the last report
}

// Limits are what the processes of a run can take from the host, together. A zero is no
// limit.
type Limits struct {
	Memory    int64 // bytes
	PIDs      int64 // processes and threads
	CPUWeight int64 // share of a busy host's processors, beside others; 100 is usual
}
