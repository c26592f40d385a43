//go:build linux

package confine

import (
	"slices"

	"golang.org/x/sys/unix"
)

// powers are calls that neither a monitor nor a shim has a use for: debugging, other
// namespaces, mounts, keys, code in the kernel, the machine itself.
var powers = []uintptr{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_PERSONALITY, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
}

// identities are the calls by which a process changes who it is.
var identities = []uintptr{
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET,
}

// without is a filter that refuses powers, and new processes: clone makes threads only.
// A call that is newer than all that are known here is refused as an older kernel would.
func without() filter {
	f := filter{newest: unix.SYS_MSEAL, rest: unix.SECCOMP_RET_ALLOW}
	f.deny(slices.Concat(powers, powersHere, identities, forksHere)...)
	f.rules = append(f.rules, rule{unix.SYS_CLONE, []cond{thread}, unix.SECCOMP_RET_ALLOW},
		rule{unix.SYS_CLONE3, nil, refuse(unix.ENOSYS)}) // its arguments can't be seen; libc then takes clone
	f.deny(unix.SYS_CLONE)
	return f
}

func (f *filter) deny(calls ...uintptr) {
	for _, call := range calls {
		f.rules = append(f.rules, rule{call, nil, refuse(unix.EPERM)})
	}
}

// outward are the calls by which a monitor would reach other processes, or files that
// it was not given, where no namespace stands before them.
var outward = []uintptr{
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_SETPRIORITY, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_SETAFFINITY, unix.SYS_IOPRIO_SET,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_EXECVEAT,
	unix.SYS_TRUNCATE, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_UTIMENSAT, // a template is known by its time
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_FGETXATTR,
	unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR, unix.SYS_FLISTXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
}

const fiosetown = 0x8901 // asm-generic/sockios.h

// owned are the commands of fcntl(2) and ioctl(2) that make the kernel send signals for
// this process, or type into a terminal.
var owned = map[uintptr][]uint64{
	unix.SYS_FCNTL: {unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG},
	unix.SYS_IOCTL: {fiosetown, unix.SIOCSPGRP, unix.TIOCSTI, unix.TIOCLINUX},
}

// listens are the calls by which one that serves takes connections, by unix streams and
// no other way: a datagram could be sent to any address.
var listens = []rule{
	{unix.SYS_SOCKET, []cond{{0, 0xffffffff, unix.AF_UNIX}, {1, 0xff, unix.SOCK_STREAM}}, unix.SECCOMP_RET_ALLOW},
	{unix.SYS_BIND, nil, unix.SECCOMP_RET_ALLOW},
	{unix.SYS_LISTEN, nil, unix.SECCOMP_RET_ALLOW},
}

// alone is whether what a process on this rung signals can only be itself.
func alone(rung Rung) bool {
	if rung.Namespaces() {
		return true
	}
	version, err := landlockVersion()
	return err == nil && rung.Landlock() && version >= scopesSignals
}

// monitor is the filter of a virtual machine monitor. It lets execve through, since the
// stage ends in one: who was told no_new_privs and has a root of one program gains
// nothing by it, and QEMU takes it from itself (-sandbox spawn=deny).
func monitor(rung Rung, serves bool) filter {
	f := without()
	if serves {
		f.rules = append(f.rules, listens...)
		if alone(rung) { // musl's way to signal a thread, by which processors are stopped
			f.rules = append(f.rules, rule{unix.SYS_TKILL, nil, unix.SECCOMP_RET_ALLOW})
		}
	}
	for call, commands := range owned {
		for _, command := range commands {
			f.rules = append(f.rules, rule{call, []cond{{1, 0xffffffff, command}}, refuse(unix.EPERM)})
		}
	}
	for call, own := range map[uintptr]cond{ // of this process only; to no other address
		unix.SYS_TGKILL: {0, 0xffffffff, uint64(unix.Getpid())}, unix.SYS_PRLIMIT64: {0, 0xffffffff, 0}, unix.SYS_SENDTO: equal(4, 0),
	} {
		f.rules = append(f.rules, rule{call, []cond{own}, unix.SECCOMP_RET_ALLOW})
		f.deny(call)
	}
	f.deny(outward...)
	if !rung.Namespaces() {
		f.deny(owns()...)
	}
	return f
}

// owns are the calls by which modes and owners are changed of files that are not open,
// and times on some machines: Landlock has no rule for them.
func owns() []uintptr {
	return slices.Concat([]uintptr{unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWNAT}, ownsHere)
}

// sealed is the filter of a shim that starts no program any more.
func sealed() filter {
	f := without()
	f.deny(unix.SYS_EXECVE, unix.SYS_EXECVEAT)
	f.deny(owns()...)
	for _, call := range []uintptr{unix.SYS_MMAP, unix.SYS_MPROTECT} {
		f.rules = append(f.rules, rule{call, []cond{{2, unix.PROT_EXEC, unix.PROT_EXEC}}, refuse(unix.EPERM)})
	}
	return f
}
