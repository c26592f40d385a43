package egress

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of a lease. Answers with a TTL of 0 must be usable, by a program that
// takes its time.
const (
	minLease  = 30 * time.Second
	maxLease  = time.Hour
	maxLeases = 4096
)

// leases are addresses with the moment until which they may be dialled.
type leases struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
}

// add keeps the longest lease of an address. When there are too many, the one that
// ends first makes place.
func (l *leases) add(a netip.Addr, until, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[netip.Addr]time.Time{}
	}
	if old, ok := l.until[a]; ok {
		if until.After(old) {
			l.until[a] = until
		}
		return
	}
	if len(l.until) >= maxLeases {
		l.evict(now)
	}
	l.until[a] = until
}

// evict removes what is over, or else what is over first. Call it with mu held.
func (l *leases) evict(now time.Time) {
	var first netip.Addr
	for a, until := range l.until {
		if until.Before(now) {
			delete(l.until, a)
		} else if !first.IsValid() || until.Before(l.until[first]) {
			first = a
		}
	}
	if len(l.until) >= maxLeases {
		delete(l.until, first)
	}
}

func (l *leases) holds(a netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.until[a])
}
