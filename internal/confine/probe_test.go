//go:build linux

package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// target is what the probe aims at: things of the user that started it.
type target struct {
	File     string  // exists, readable and writable by the probe's user
	Socket   string  // a unix socket that listens
	Abstract string  // another, in the abstract namespace
	PID      int     // a process of the same user
	Word     uintptr // an address in it
	Port     int     // a UDP socket's on 127.0.0.1
	Other    int     // another's
	Datagram string  // a unix datagram socket
}

// probe tries one thing. nil is that it was allowed.
type probe struct {
	name string
	try  func(target) error
}

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func text(s string) uintptr {
	b, _ := unix.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(b))
}

func opens(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

var loopback = [4]byte{127, 0, 0, 1}

func socket(domain, kind, protocol int) error {
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func connects(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
}

// offers takes a name, as a server's.
func offers(kind int, name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return err
	}
	if !strings.HasPrefix(name, "@") {
		defer unix.Unlink(name)
	}
	return unix.Listen(fd, 1)
}

// forks makes a process that ends at once.
func forks(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|flags, 0, 0, 0, 0, 0)
	return child(pid, errno)
}

// child ends, where this is one.
func child(pid uintptr, errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	for pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}

func proc(t target, name string) string { return fmt.Sprintf("/proc/%d/%s", t.PID, name) }

// probes are all that is tried, in the order of the table.
var probes = []probe{
	{"read a file", func(t target) error { return opens(t.File, unix.O_RDONLY) }},
	{"write a file", func(t target) error { return opens(t.File, unix.O_WRONLY) }},
	{"make a file", func(t target) error { return opens(t.File+".new", unix.O_WRONLY|unix.O_CREAT) }},
	{"list a directory", func(t target) error { return opens(filepath.Dir(t.File), unix.O_RDONLY|unix.O_DIRECTORY) }},
	{"stat a file", func(t target) error { var st unix.Stat_t; return unix.Lstat(t.File, &st) }},
	{"read a link", func(t target) error {
		_, err := unix.Readlinkat(unix.AT_FDCWD, t.File+".link", make([]byte, 64))
		return err
	}},
	{"chmod a file", func(t target) error { return unix.Fchmodat(unix.AT_FDCWD, t.File, 0o666, 0) }},
	{"chown a file", func(t target) error { return unix.Fchownat(unix.AT_FDCWD, t.File, os.Getuid(), -1, 0) }},
	{"set a file's times", func(t target) error { return unix.UtimesNanoAt(unix.AT_FDCWD, t.File, nil, 0) }},
	{"truncate a file", func(t target) error { return unix.Truncate(t.File, 1) }},
	{"rename a file", func(t target) error { return unix.Rename(t.File+".link", t.File+".other") }},
	{"remove a file", func(t target) error { return unix.Unlink(t.File + ".gone") }},
	{"set an attribute", func(t target) error { return unix.Setxattr(t.File, "user.x", []byte("x"), 0) }},
	{"read an attribute", func(t target) error { _, err := unix.Getxattr(t.File, "user.kept", make([]byte, 16)); return err }},
	{"list its attributes", func(t target) error { _, err := unix.Listxattr(t.File, make([]byte, 64)); return err }},
	{"set one anew", func(t target) error {
		value := struct {
			at   uint64
			size uint32
			_    uint32
		}{uint64(text("x")), 1, 0}
		return call(unix.SYS_SETXATTRAT, ^uintptr(99), text(t.File), 0, text("user.x"), uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value))
	}},
	{"watch a file", func(t target) error {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return err
		}
		_, err = unix.InotifyAddWatch(fd, t.File, unix.IN_MODIFY)
		return err
	}},
	{"leave by ..", func(t target) error { return opens("../../../../../.."+t.File, unix.O_RDONLY) }},
	{"open the root", func(target) error { return opens("/etc/passwd", unix.O_RDONLY) }},
	{"TCP", func(target) error { return socket(unix.AF_INET, unix.SOCK_STREAM, 0) }},
	{"TCP, IPv6", func(target) error { return socket(unix.AF_INET6, unix.SOCK_STREAM, 0) }},
	{"MPTCP", func(target) error { return socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP) }},
	{"UDP", func(target) error { return socket(unix.AF_INET, unix.SOCK_DGRAM, 0) }},
	{"raw socket", func(target) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) }},
	{"packet socket", func(target) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) }},
	{"netlink", func(target) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) }},
	{"vsock", func(target) error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) }},
	{"kernel crypto socket", func(target) error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) }},
	{"unix socket by path", func(t target) error { return connects(t.Socket) }},
	{"abstract unix socket", func(t target) error { return connects(t.Abstract) }},
	{"unix datagram", func(t target) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Sendto(pair[0], []byte("x"), 0, &unix.SockaddrUnix{Name: t.Datagram})
	}},
	{"listen in its directory", func(target) error { return offers(unix.SOCK_STREAM, "own") }},
	{"the same for datagrams", func(target) error { return offers(unix.SOCK_DGRAM, "datagrams") }},
	{"listen elsewhere", func(t target) error { return offers(unix.SOCK_STREAM, t.File+".socket") }},
	{"listen at an abstract name", func(t target) error { return offers(unix.SOCK_STREAM, t.Abstract+".new") }},
	{"make a file in its directory", func(target) error { return opens("made", unix.O_WRONLY|unix.O_CREAT) }},
	{"make a link in its directory", func(target) error { return unix.Symlink("/", "link") }},
	{"another way by a passed socket", func(t target) error {
		return unix.Sendto(passed, []byte("x"), 0, &unix.SockaddrInet4{Addr: loopback, Port: t.Other})
	}},
	{"the same by a message", func(t target) error {
		_, err := unix.SendmsgN(passed, []byte("x"), nil, &unix.SockaddrInet4{Addr: loopback, Port: t.Other}, 0)
		return err
	}},
	{"connect a passed socket anew", func(t target) error {
		return unix.Connect(passed, &unix.SockaddrInet4{Addr: loopback, Port: t.Other})
	}},
	{"an option of a passed socket", func(target) error { return unix.SetsockoptInt(passed, unix.IPPROTO_IP, unix.IP_TTL, 1) }},
	{"pass it on", func(target) error { return unix.Sendmsg(passed, nil, unix.UnixRights(passed), nil, 0) }},
	{"signal a process", func(t target) error { return unix.Kill(t.PID, 0) }},
	{"signal it by a descriptor", func(t target) error { _, err := unix.FcntlInt(1, unix.F_SETOWN, t.PID); return err }},
	{"its limits", func(t target) error { return unix.Prlimit(t.PID, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}) }},
	{"its priority", func(t target) error { return unix.Setpriority(unix.PRIO_PROCESS, t.PID, 19) }},
	{"its processors", func(t target) error {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return err
		}
		return unix.SchedSetaffinity(t.PID, &set)
	}},
	{"trace a process", func(t target) error { return unix.PtraceSeize(t.PID) }},
	{"read its memory", func(t target) error {
		var word [8]byte
		local := unix.Iovec{Base: &word[0], Len: 8}
		_, err := unix.ProcessVMReadv(t.PID, []unix.Iovec{local}, []unix.RemoteIovec{{Base: t.Word, Len: 8}}, 0)
		return err
	}},
	{"open its memory", func(t target) error { return opens(proc(t, "mem"), unix.O_RDONLY) }},
	{"open its status", func(t target) error { return opens(proc(t, "status"), unix.O_RDONLY) }},
	{"stat its directory", func(t target) error { var st unix.Stat_t; return unix.Lstat(proc(t, "exe"), &st) }},
	{"enter its root", func(t target) error { return opens(proc(t, "root")+t.File, unix.O_RDONLY) }},
	{"a pidfd of it", func(t target) error { _, err := unix.PidfdOpen(t.PID, 0); return err }},
	{"compare with it", func(t target) error {
		return call(unix.SYS_KCMP, uintptr(t.PID), uintptr(os.Getpid()), 3, 0, 0)
	}},
	{"a new process", func(target) error { return forks(0) }},
	{"one by clone3", func(target) error {
		args := struct{ flags, pidfd, child, parent, signal, stack, size, tls uint64 }{signal: uint64(unix.SIGCHLD)}
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		return child(pid, errno)
	}},
	{"one in new namespaces", func(target) error { return forks(unix.CLONE_NEWUSER) }},
	{"new namespaces", func(target) error { return unix.Unshare(unix.CLONE_NEWNS) }},
	{"join a namespace", func(t target) error { return unix.Setns(0, 0) }},
	{"mount", func(target) error { return unix.Mount("", "/", "", unix.MS_PRIVATE, "") }},
	{"mount anew", func(target) error { _, err := unix.Fsopen("tmpfs", 0); return err }},
	{"take a mount", func(target) error { _, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE); return err }},
	{"chroot", func(target) error { return unix.Chroot("/") }},
	{"another user", func(target) error { return call(unix.SYS_SETUID, 4321) }},
	{"another group", func(target) error { return call(unix.SYS_SETGID, 4321) }},
	{"a capability", func(target) error {
		caps := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
		return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &caps[0])
	}},
	{"a key", func(target) error {
		_, err := unix.AddKey("user", "x", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	}},
	{"a keyring", func(target) error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true); return err }},
	{"io_uring", func(target) error {
		var params [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
	}},
	{"BPF", func(target) error {
		attr := [16]uint32{2, 4, 4, 1} // an array of one
		return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}},
	{"perf", func(target) error {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		_, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
		return err
	}},
	{"userfaultfd", func(target) error { return call(unix.SYS_USERFAULTFD, 1) }},
	{"the kernel's log", func(target) error { _, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil); return err }},
	{"the clock", func(target) error { return call(unix.SYS_CLOCK_SETTIME, 1, text("0123456789abcdef")) }},
	{"executable memory", func(target) error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	}},
	{"memory made executable", func(target) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
	}},
	{"shared memory", func(target) error {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, 0o600)
		if err == nil {
			unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
		return err
	}},
	{"a message queue", func(t target) error {
		name := text(fmt.Sprintf("confine%d", os.Getpid()))
		fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		unix.Close(int(fd))
		return call(unix.SYS_MQ_UNLINK, name)
	}},
	{"a device file", func(target) error { return opens("/dev/null", unix.O_RDWR) }},
	{"a disk", func(target) error { return opens("/dev/vda", unix.O_RDONLY) }},
	{"make a device", func(t target) error { return unix.Mknod(t.File+".dev", unix.S_IFCHR|0o600, 0x103) }},
	{"a higher limit of cores", func(target) error {
		return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	}},
	{"leave a core", func(target) error {
		var cores unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_CORE, nil, &cores); err == nil && cores.Cur == coreLimit {
			return unix.EFBIG
		}
		return nil
	}},
	{"a foreign descriptor", func(target) error { _, err := unix.FcntlInt(foreign, unix.F_GETFD, 0); return err }},
	{"a program of memory", func(target) error {
		fd, err := unix.MemfdCreate("x", 0)
		if err != nil {
			return err
		}
		return call(unix.SYS_EXECVEAT, uintptr(fd), text(""), 0, 0, unix.AT_EMPTY_PATH)
	}},
	{"a program", func(target) error { return syscall.Exec("/bin/true", []string{"true"}, nil) }},
}
