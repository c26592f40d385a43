//go:build linux

package confine

import "golang.org/x/sys/unix"

const (
	auditArch    = unix.AUDIT_ARCH_X86_64
	foreignCalls = 0x40000000 // where the x32 table begins (asm/unistd.h, __X32_SYSCALL_BIT)
)

// Calls that only this architecture has, or has under this name.
var (
	goCallsHere    = []uintptr{}
	filesCallsHere = []uintptr{unix.SYS_NEWFSTATAT}
	powersHere     = []uintptr{
		unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL,
		unix.SYS_CREATE_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_QUERY_MODULE, unix.SYS_NFSSERVCTL,
	}
	forksHere = []uintptr{unix.SYS_FORK, unix.SYS_VFORK}
	ownsHere  = []uintptr{unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT}
)
