package qemu

import "os"

// Hardware is this system's accelerator, where package accel finds it usable.
const Hardware = KVM

// templates is whether VMs can be saved and restored here.
const templates = true

// ownSandbox is what QEMU takes from itself.
var ownSandbox = []string{"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"}

// opened is how QEMU opens a file of ours: anew, by its descriptor.
func opened(f *os.File, pass func(*os.File) int) string { return fdPath(pass(f)) }
