package instance

import (
	"time"

	"aegis/internal/wire"
)

// Lease keeps an instance awake until a time. Whoever takes one says why.
type Lease struct {
	Until  time.Time `json:"until"` // zero: none, or released
	Reason string    `json:"reason"`
}

// Held reports whether the lease still counts.
func (l Lease) Held(now time.Time) bool { return now.Before(l.Until) }

// MaxLease is how long one lease may last; it can be taken again.
const MaxLease = wire.MaxLease
