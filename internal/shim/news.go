package shim

import (
	"sync"

	"aegis/internal/instance"
)

// news is what somebody has yet to be told. It never holds back who adds to it: that
// the guest is busy, or its network, is told once, and of its leases the last.
type news struct {
	some chan struct{} // has something while there is something to take

	mu      sync.Mutex
	busy    bool
	traffic bool
	lease   *instance.Lease
}

func newNews() *news { return &news{some: make(chan struct{}, 1)} }

// add keeps a report until take.
func (n *news) add(r instance.Report) {
	n.mu.Lock()
	n.busy = n.busy || r.Busy
	n.traffic = n.traffic || r.Traffic
	if r.Lease != nil {
		n.lease = r.Lease
	}
	n.mu.Unlock()
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// take gives what was added since the last take.
func (n *news) take() (all []instance.Report) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy {
		all = append(all, instance.Report{Busy: true})
	}
	if n.traffic {
		all = append(all, instance.Report{Traffic: true})
	}
	if n.lease != nil {
		all = append(all, instance.Report{Lease: n.lease})
	}
	n.busy, n.traffic, n.lease = false, false, nil
	return all
}
