// Package confine takes from a process what it does not need, before it reads a byte
// that a guest wrote: namespaces and a root that holds nothing, capabilities, Landlock,
// a filter of system calls, limits.
//
// Who calls it: the shim for its helpers, and the daemon for what reads foreign images
// (Prepare, then Enter in the new process); the shim for itself (Seal); the backend for
// its monitor (Stage); the daemon asks what this machine allows (Ladder). It decides nothing about guests, opens no file that it was
// not told of, starts no process but its own self-test, and never undoes a confinement.
//
// # Rungs
//
// Not every machine allows everything: containers refuse namespaces, kernels are built
// without Landlock. A rung is a whole that was seen to work, by a child that tried it:
//
//	full           namespaces, pivot, Landlock, seccomp
//	no-landlock    the same without Landlock
//	no-namespaces  Landlock and seccomp in the host's own namespaces
//	sandbox        macOS: a profile of sandbox-exec, and nothing of the above
//	off            nothing
//
// docs/security.md says what each leaves open, and TestMatrix holds that.
package confine

// Rung is how much of the confinement is in force.
type Rung string

// The rungs, the best first.
const (
	Full         Rung = "full"
	NoLandlock   Rung = "no-landlock"
	NoNamespaces Rung = "no-namespaces"
	Sandbox      Rung = "sandbox"
	Off          Rung = "off"
)

// Namespaces is whether the process has its own, and a root of its own.
func (r Rung) Namespaces() bool { return r == Full || r == NoLandlock }

// Landlock is whether the kernel checks each opened file by rules besides.
func (r Rung) Landlock() bool { return r == Full || r == NoNamespaces }

// On is whether anything is confined. The zero Rung is off.
func (r Rung) On() bool { return r.Namespaces() || r.Landlock() || r == Sandbox }
