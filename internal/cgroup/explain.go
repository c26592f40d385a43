package cgroup

import (
	"fmt"
	"os"
)

// lack is why a group can't be used, what is closest to being usable last.
type lack int

const (
	none    lack = iota
	foreign      // it is not ours to write
	bare         // it is, and has no controller
	shared       // it has, and holds processes of others
)

// The commands that mend it.
const (
	unified  = `sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && sudo update-grub && sudo reboot`
	asScope  = "aegis down && systemd-run%s --scope -p Delegate=yes aegis up"
	delegate = `sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\nDelegate=cpu memory pids\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload`
)

// scope is the command that starts the daemon in a group of its own.
func scope() string {
	if os.Geteuid() == 0 {
		return fmt.Sprintf(asScope, "")
	}
	return fmt.Sprintf(asScope, " --user")
}

// explain says it of the group that this process is in, and what mends it.
func (l lack) explain(own string) (cause, fix string) {
	switch l {
	case bare:
		return fmt.Sprintf("%s has no controller for memory, pids or cpu: they belong to cgroup v1, or are not delegated", own), unified
	case shared:
		return fmt.Sprintf("%s is ours to divide, but other processes are in it", own), scope()
	}
	return fmt.Sprintf("%s is not delegated to this user", own), scope()
}
