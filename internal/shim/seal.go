package shim

import (
	"fmt"
	"os"
	"path/filepath"

	"aegis/internal/confine"
)

// seal is called when the monitor and the helpers run: from here on this process starts
// no other, whatever a guest makes of it, opens only what it still needs, and nobody
// else's sees its memory.
func (r *run) seal() error {
	rung := confine.Rung(r.launch.Confinement)
	if !rung.On() {
		return confine.Private()
	}
	if err := confine.Seal(rung, r.needs()); err != nil {
		return fmt.Errorf("confine the shim: %w", err)
	}
	return nil
}

// needs is what the run opens by name until its end: its own directory, its instance's,
// the template that it makes, and the host's settings of names. An ordinary user may read
// all of /etc, where those may be replaced; for root there are secrets in it.
func (r *run) needs() confine.Reach {
	reach := confine.Reach{Change: []string{r.dir.Dir}}
	if r.launch.Save != "" {
		reach.Change = append(reach.Change, r.launch.Save)
	}
	r.mu.Lock()
	owner, network := r.owner, r.network
	r.mu.Unlock()
	if owner != nil {
		reach.Change = append(reach.Change, owner.LogDir)
		if !owner.Mounted {
			reach.Change = append(reach.Change, filepath.Dir(owner.Disk))
		}
	}
	if network != nil {
		reach.Read = network.host.Files()
		if os.Geteuid() != 0 {
			reach.Read = append(reach.Read, "/etc")
		}
	}
	return reach
}
