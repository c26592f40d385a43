package fake

import (
	"bytes"
	"context"
	"sync"
)

// RAM is what a guest of this backend remembers: Save writes it into the template,
// and every VM restored from there begins with a copy of its own.
type RAM struct {
	restored bool

	mu   sync.Mutex
	data []byte
}

type ramKey struct{}

// Memory is the RAM of the guest whose context this is, and nil outside of one.
func Memory(ctx context.Context) *RAM {
	ram, _ := ctx.Value(ramKey{}).(*RAM)
	return ram
}

// Restored reports whether the guest goes on from a template.
func (r *RAM) Restored() bool { return r.restored }

// Load is a copy of what Store was given last, here or in the template's guest.
func (r *RAM) Load() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.data)
}

// Store replaces what the guest remembers.
func (r *RAM) Store(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data = bytes.Clone(data)
}
