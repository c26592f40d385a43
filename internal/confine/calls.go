//go:build linux

package confine

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Calls names what a helper does, and with it the list of system calls that it may use.
type Calls string

// The kinds of helpers.
const (
	Files  Calls = "files"  // serves a directory
	Frames Calls = "frames" // uses sockets that were passed to it, and opens none
)

// goCalls are what the Go runtime and sockets that are there already need.
// TestTorture finds what a new release of Go adds.
var goCalls = []uintptr{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_FCNTL,
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_FUTEX, unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_SHUTDOWN,
	unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT,
}

// filesCalls are what serving a directory needs besides.
var filesCalls = []uintptr{
	unix.SYS_OPENAT, unix.SYS_STATX, unix.SYS_FSTATFS, unix.SYS_LSEEK, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PWRITEV2,
	unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_COPY_FILE_RANGE, unix.SYS_GETDENTS64,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_READLINKAT,
	unix.SYS_FCHMOD, unix.SYS_FSETXATTR, unix.SYS_FGETXATTR, unix.SYS_FLISTXATTR, unix.SYS_FREMOVEXATTR, unix.SYS_FLOCK, unix.SYS_UMASK,
}

// threadFlags are what makes a new thread of this process and nothing else; clone(2)
// with any namespace in it is another thing.
const (
	threadFlags = unix.CLONE_THREAD | unix.CLONE_VM | unix.CLONE_SIGHAND
	spaceFlags  = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP
)

var thread = cond{0, threadFlags | spaceFlags, threadFlags}

func noExec(arg int) cond { return cond{arg, unix.PROT_EXEC, 0} }

// allow is the filter of a helper: what is not named is refused.
func (c Calls) allow(rung Rung, rest uint32) filter {
	f := filter{rest: rest}
	let := func(call uintptr, when ...cond) {
		f.rules = append(f.rules, rule{call, when, unix.SECCOMP_RET_ALLOW})
	}
	for _, call := range slices.Concat(goCalls, goCallsHere) {
		let(call)
	}
	let(unix.SYS_MMAP, noExec(2))
	let(unix.SYS_MPROTECT, noExec(2))
	let(unix.SYS_CLONE, thread)
	let(unix.SYS_TGKILL, equal(0, uint64(unix.Getpid()))) // preemption
	let(unix.SYS_PRCTL, equal(0, unix.PR_SET_VMA))        // names of memory areas
	let(unix.SYS_PRLIMIT64, equal(0, 0), equal(2, 0))     // to read them
	switch c {
	case Frames:
		let(unix.SYS_SETSOCKOPT, equal(1, unix.SOL_SOCKET))
		let(unix.SYS_SETSOCKOPT, equal(1, unix.IPPROTO_TCP))
	case Files:
		for _, call := range slices.Concat(filesCalls, filesCallsHere) {
			let(call)
		}
		for _, kind := range []uint64{0, unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK} {
			let(unix.SYS_MKNODAT, cond{2, unix.S_IFMT, kind})
		}
		if rung.Namespaces() {
			let(unix.SYS_FCHMODAT)
			let(unix.SYS_UTIMENSAT)
		} else { // Landlock does not cover the forms with a path
			let(unix.SYS_UTIMENSAT, equal(1, 0))
		}
	}
	return f
}

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
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_PERSONALITY, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
}

// identities are the calls by which a process changes who it is.
var identities = []uintptr{
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET,
}

// without is a filter that refuses powers, and new processes: clone makes threads only.
func without() filter {
	f := filter{rest: unix.SECCOMP_RET_ALLOW}
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

// monitor is the filter of a virtual machine monitor. It lets execve through, since the
// stage ends in one: who was told no_new_privs and has a root of one program gains
// nothing by it, and QEMU takes it from itself (-sandbox spawn=deny).
func monitor(rung Rung) filter {
	f := without()
	f.rules = append(f.rules, rule{unix.SYS_TGKILL, []cond{equal(0, uint64(unix.Getpid()))}, unix.SECCOMP_RET_ALLOW},
		rule{unix.SYS_IOCTL, []cond{{1, 0xffffffff, unix.TIOCSTI}}, refuse(unix.EPERM)},
		rule{unix.SYS_IOCTL, []cond{{1, 0xffffffff, unix.TIOCLINUX}}, refuse(unix.EPERM)})
	f.deny(unix.SYS_TGKILL, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
		unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EXECVEAT,
		unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_UTIMENSAT) // a template is known by its time
	if !rung.Namespaces() {
		f.deny(slices.Concat([]uintptr{unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWNAT}, ownsHere)...)
	}
	return f
}

// sealed is the filter of a shim that starts no program any more.
func sealed() filter {
	f := without()
	f.deny(unix.SYS_EXECVE, unix.SYS_EXECVEAT)
	for _, call := range []uintptr{unix.SYS_MMAP, unix.SYS_MPROTECT} {
		f.rules = append(f.rules, rule{call, []cond{{2, unix.PROT_EXEC, unix.PROT_EXEC}}, refuse(unix.EPERM)})
	}
	return f
}
