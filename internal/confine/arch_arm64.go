//go:build linux

package confine

import "golang.org/x/sys/unix"

const (
	auditArch    = unix.AUDIT_ARCH_AARCH64
	foreignCalls = 0x40000000 // there is no second table; nothing is this large
)

// Calls that only this architecture has, or has under this name.
var (
	goCallsHere    = []uintptr{}
	filesCallsHere = []uintptr{unix.SYS_FSTATAT}
	powersHere     = []uintptr{unix.SYS_NFSSERVCTL}
	forksHere      = []uintptr{}
	ownsHere       = []uintptr{}
)
