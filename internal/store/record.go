package store

import (
	"encoding/json"
	"fmt"
	"time"

	"aegis/internal/instance"
)

// MaxWakes is how many wakes a record keeps (SPEC: the last 20).
const MaxWakes = 20

// Record is all that Aegis remembers of one instance. Its JSON names are on disk:
// renaming one is a migration. It holds names of secrets, never values.
type Record struct {
	ID          string         `json:"id"`
	Spec        instance.Spec  `json:"spec"`
	State       instance.State `json:"state"`
	Run         string         `json:"run"`          // ID of the VM's life while there is a VM, else ""
	UserStopped bool           `json:"user_stopped"` // no connection wakes it

	CreatedAt time.Time      `json:"created_at"`
	StartedAt time.Time      `json:"started_at"` // zero: never
	StoppedAt time.Time      `json:"stopped_at"` // zero: never
	Exit      *instance.Exit `json:"exit"`       // of the last life; nil before the first end
	Wakes     []Wake         `json:"wakes"`      // newest first, at most MaxWakes

	Lease instance.Lease `json:"lease"` // of a user: what keeps it awake

	Failures  int       `json:"failures"`   // quick failures of the command in a row
	HeldUntil time.Time `json:"held_until"` // no start before; zero: not held

	SecretVersions map[string]string `json:"secret_versions"` // of the last start, by name
	Backend        string            `json:"backend"`         // of the last start
	Accelerator    string            `json:"accelerator"`     // of the last start
	Confinement    string            `json:"confinement"`     // of the last start; "" before there was any
	Image          string            `json:"image"`           // digest of the root in use
	Template       string            `json:"template"`        // key of what the VM was restored from; "": booted, or no VM
}

// Wake is one return to RUNNING.
type Wake struct {
	At     time.Time                `json:"at"`
	From   instance.State           `json:"from"`
	Took   time.Duration            `json:"took_ns"`
	Origin string                   `json:"origin,omitempty"` // of a start: pool, template or cold
	Stages map[string]time.Duration `json:"stages_ns"`
}

// AddWake puts w first and forgets the oldest beyond MaxWakes. It does not
// change a slice that a copy of the record may share.
func (r *Record) AddWake(w Wake) {
	kept := r.Wakes[:min(len(r.Wakes), MaxWakes-1)]
	r.Wakes = append([]Wake{w}, kept...)
}

// encode gives the record as it is on disk: at most MaxWakes, times in UTC (RFC
// 3339 with nanoseconds), so that a move between time zones changes no byte.
func (r Record) encode() ([]byte, error) {
	r.CreatedAt, r.StartedAt, r.StoppedAt = r.CreatedAt.UTC(), r.StartedAt.UTC(), r.StoppedAt.UTC()
	r.HeldUntil, r.Lease.Until = r.HeldUntil.UTC(), r.Lease.Until.UTC()
	if r.Exit != nil {
		exit := *r.Exit
		exit.At = exit.At.UTC()
		r.Exit = &exit
	}
	wakes := make([]Wake, min(len(r.Wakes), MaxWakes))
	copy(wakes, r.Wakes)
	for i := range wakes {
		wakes[i].At = wakes[i].At.UTC()
	}
	r.Wakes = wakes
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %q: %w", r.ID, err)
	}
	return body, nil
}

// decode reads what encode wrote. Fields that a newer Aegis added are ignored:
// the migrations' version decides what may be opened.
func decode(body []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(body, &r); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	return r, nil
}
