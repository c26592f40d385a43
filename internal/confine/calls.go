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
	Open   Calls = "open"   // reads and writes files that are open, and opens none
)

// goCalls are what the Go runtime and sockets that are there already need.
// TestTorture finds what a new release of Go adds.
var goCalls = []uintptr{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_CLOSE, unix.SYS_FSTAT,
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_FUTEX, unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
}

// framesCalls are what using passed sockets needs besides: to take them, and no call
// that names an address or passes a descriptor on. A connected datagram socket would
// send to any other, past the shim's decision.
var framesCalls = []uintptr{unix.SYS_RECVMSG, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT}

// socketOptions are those that package net sets on a socket that it takes.
var socketOptions = [][2]uint64{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_LINGER}, {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
}

// descriptorUses are the fcntl(2) commands of a helper: none makes the kernel send
// signals to another process.
var descriptorUses = []uint64{unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_OFD_GETLK, unix.F_OFD_SETLK}

// filesCalls are what serving a directory needs besides.
var filesCalls = []uintptr{
	unix.SYS_OPENAT, unix.SYS_STATX, unix.SYS_FSTATFS, unix.SYS_LSEEK, unix.SYS_PWRITE64, unix.SYS_PWRITEV2,
	unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_COPY_FILE_RANGE, unix.SYS_GETDENTS64,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_READLINKAT,
	unix.SYS_FCHMOD, unix.SYS_FSETXATTR, unix.SYS_FGETXATTR, unix.SYS_FLISTXATTR, unix.SYS_FREMOVEXATTR, unix.SYS_FLOCK, unix.SYS_UMASK,
}

// openCalls are what using open files needs besides.
var openCalls = []uintptr{unix.SYS_LSEEK, unix.SYS_PWRITE64, unix.SYS_FTRUNCATE}

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
	for _, use := range descriptorUses {
		let(unix.SYS_FCNTL, equal(1, use))
	}
	let(unix.SYS_MMAP, noExec(2))
	let(unix.SYS_MPROTECT, noExec(2))
	let(unix.SYS_CLONE, thread)
	let(unix.SYS_TGKILL, equal(0, uint64(unix.Getpid()))) // preemption
	let(unix.SYS_PRCTL, equal(0, unix.PR_SET_VMA))        // names of memory areas
	let(unix.SYS_PRLIMIT64, equal(0, 0), equal(2, 0))     // to read them
	switch c {
	case Frames:
		for _, call := range framesCalls {
			let(call)
		}
		for _, option := range socketOptions {
			let(unix.SYS_SETSOCKOPT, equal(1, option[0]), equal(2, option[1]))
		}
	case Open:
		for _, call := range openCalls {
			let(call)
		}
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
