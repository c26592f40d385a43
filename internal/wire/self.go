package wire

import (
	"time"
	"unicode"
	"unicode/utf8"

	"aegis/internal/fault"
)

// Self is what an instance may know of itself. The guest answers with it, as it
// is, whoever asks inside: it holds nothing secret. The names are the API's.
type Self struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Image      string     `json:"image"`
	CPUs       int        `json:"cpus"`
	Memory     int64      `json:"memory"` // bytes
	Ports      []SelfPort `json:"ports"`
	PauseAfter string     `json:"pause_after"` // a duration as Go writes it, or "never"
	StopAfter  string     `json:"stop_after"`  // as PauseAfter
	Net        string     `json:"net"`
}

// SelfPort is an exposed port as the guest knows it; the host's side is not its affair.
type SelfPort struct {
	Guest    uint16 `json:"guest"`
	Protocol string `json:"protocol"`
}

// GuestEvent is what the guest asks for on the stream of OpWatch. Just one of
// Lease and Release is set. The next may follow only behind the EventReply.
type GuestEvent struct {
	ID      uint64 `json:"id"`
	Lease   *Lease `json:"lease,omitempty"`
	Release bool   `json:"release,omitempty"` // drop the lease, if there is one
}

// EventReply answers the GuestEvent with the same ID. Error is empty on success.
type EventReply struct {
	ID    uint64    `json:"id"`
	Error *Error    `json:"error,omitempty"`
	Until time.Time `json:"until,omitzero"` // of a lease: its end by the host's clock
}

// Lease asks that the instance stay awake for a time, in place of the lease that
// it has.
type Lease struct {
	For    time.Duration `json:"for_ns"`
	Reason string        `json:"reason"` // for a person; may be empty
}

// Bounds of a Lease.
const (
	MinLease  = time.Second
	MaxLease  = 24 * time.Hour // it can be taken again
	MaxReason = 200            // bytes
)

// Check refuses a lease outside the bounds, or whose reason could not stand in a
// line on a terminal. The guest checks what it is asked, the host what it is told.
func (l Lease) Check() error {
	const what = "take a lease"
	switch {
	case l.For < MinLease || l.For > MaxLease:
		return fault.New(fault.Invalid, "for", what, "a lease lasts from %s to %s, not %s", MinLease, MaxLease, l.For)
	case len(l.Reason) > MaxReason:
		return fault.New(fault.Invalid, "reason", what, "the reason has %d bytes and at most %d are allowed", len(l.Reason), MaxReason)
	case !printable(l.Reason):
		return fault.New(fault.Invalid, "reason", what, "the reason holds characters that can't be printed")
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Check refuses an event that no harness sends.
func (e GuestEvent) Check() error {
	if (e.Lease != nil) == e.Release {
		return fault.New(fault.Invalid, "", "take the guest's word", "it asks for two things at once, or for none")
	}
	if e.Lease != nil {
		return e.Lease.Check()
	}
	return nil
}
