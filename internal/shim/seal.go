package shim

import (
	"fmt"

	"aegis/internal/confine"
)

// seal is called when the monitor and the helpers run: from here on this process starts
// no other, whatever a guest makes of it, and nobody else's sees its memory.
func (r *run) seal() error {
	if !confine.Rung(r.launch.Confinement).On() {
		return confine.Private()
	}
	if err := confine.Seal(); err != nil {
		return fmt.Errorf("confine the shim: %w", err)
	}
	return nil
}
