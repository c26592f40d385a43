package shim

import (
	"net"
	"os"
	"time"

	"aegis/internal/instance"
	"aegis/internal/wire"
)

// watch tells one daemon what happens until the run has ended.
func (r *run) watch(conn *net.UnixConn) error {
	untold := newNews()
	r.mu.Lock()
	status := instance.RunStatus{Ready: r.ready, Started: r.start == started, Paused: r.paused, PID: os.Getpid(), Lease: r.lease}
	if r.owner != nil {
		status.Instance = r.owner.Instance
	}
	r.watchers[untold] = struct{}{}
	if r.ready { // who began to watch too late for the report gets it too
		untold.add(instance.Report{Ready: true})
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.watchers, untold)
		r.mu.Unlock()
	}()
	if err := answer(conn, reply{Status: &status}); err != nil {
		return nil
	}
	gone := make(chan struct{})
	go func() { // the daemon says nothing more: an end is its end
		defer close(gone)
		conn.Read(make([]byte, 1))
	}()
	for {
		select {
		case <-untold.some:
			for _, report := range untold.take() {
				if tell(conn, report) != nil {
					return nil
				}
			}
		case <-r.ended:
			tell(conn, instance.Report{Exit: r.exit})
			return nil
		case <-gone:
			return nil
		}
	}
}

func tell(conn net.Conn, report instance.Report) error {
	conn.SetWriteDeadline(time.Now().Add(requestTimeout))
	return wire.WriteMessage(conn, report, maxMessage)
}

// Noise: an idle guest of the default image takes about 1 % of a processor without
// KVM. More than 4 % of one, over a sample, is work. Samples are shorter than half
// of the shortest pause-after, one second.
const (
	sampleEvery = 400 * time.Millisecond
	busyShare   = 0.04
)

// sample reports whenever the guest uses its processors above noise, and keeps its
// clock, to its end.
func (r *run) sample() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	last, _ := cpuTime(r.vm.PID())
	lastAt := time.Now()
	for {
		select {
		case <-r.vm.Done():
			return
		case <-ticker.C:
		}
		r.followClock()
		used, err := cpuTime(r.vm.PID())
		if err != nil {
			return
		}
		now := time.Now()
		if share := float64(used-last) / float64(now.Sub(lastAt)); share > busyShare {
			r.broadcast(instance.Report{Busy: true})
		}
		last, lastAt = used, now
	}
}

// broadcast never waits for a watcher.
func (r *run) broadcast(report instance.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for untold := range r.watchers {
		untold.add(report)
	}
}
