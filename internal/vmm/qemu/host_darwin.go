package qemu

import "os"

// Hardware is this system's accelerator, where package accel finds it usable.
const Hardware = HVF

// templates is whether VMs can be saved and restored here: nobody has seen it.
const templates = false

// ownSandbox is nothing: QEMU's own is Linux's seccomp.
var ownSandbox []string

// opened is how QEMU opens a file of ours: by its name, since /dev/fd shares an offset,
// and QEMU looks for a file's size first.
func opened(f *os.File, _ func(*os.File) int) string {
	if f == nil {
		return ""
	}
	return f.Name()
}
