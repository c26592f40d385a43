package shim

import (
	"sync"

	"aegis/internal/instance"
)

// news is what somebody has yet to be told. It never holds back who adds to it: that
// the guest is busy, or its network, is told once, of its leases the last, and of
// denials the first ones, and how many came after.
type news struct {
	some chan struct{} // has something while there is something to take

	mu      sync.Mutex
	ready   bool
	busy    bool
	traffic bool
	lease   *instance.Lease
	denied  []instance.Denial
	untold  int // denials beyond maxDenied
}

// maxDenied is how many denials wait for one watcher: what the thinning lets through
// in half a minute.
const maxDenied = 32

func newNews() *news { return &news{some: make(chan struct{}, 1)} }

// add keeps a report until take.
func (n *news) add(r instance.Report) {
	n.mu.Lock()
	n.ready = n.ready || r.Ready
	n.busy = n.busy || r.Busy
	n.traffic = n.traffic || r.Traffic
	if r.Lease != nil {
		n.lease = r.Lease
	}
	n.deny(r.Denied)
	n.mu.Unlock()
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// deny keeps a denial, or its number. It is called under mu.
func (n *news) deny(d *instance.Denial) {
	switch {
	case d == nil:
	case len(n.denied) == maxDenied:
		n.untold += 1 + d.Untold
	default:
		n.denied = append(n.denied, *d)
	}
}

// take gives what was added since the last take.
func (n *news) take() (all []instance.Report) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready {
		all = append(all, instance.Report{Ready: true})
	}
	if n.busy {
		all = append(all, instance.Report{Busy: true})
	}
	if n.traffic {
		all = append(all, instance.Report{Traffic: true})
	}
	if n.lease != nil {
		all = append(all, instance.Report{Lease: n.lease})
	}
	for i := range n.denied {
		all = append(all, instance.Report{Denied: &n.denied[i]})
	}
	if n.untold > 0 {
		n.denied[len(n.denied)-1].Untold += n.untold
	}
	n.ready, n.busy, n.traffic, n.lease, n.denied, n.untold = false, false, false, nil, nil, 0
	return all
}
