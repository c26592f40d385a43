package shim

import (
	"net"
	"os"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"

	"golang.org/x/sys/unix"
)

// cpuTime is not known here: a guest's processors do not count as activity.
func cpuTime(int) (time.Duration, error) {
	return 0, fault.New(fault.Backend, "", "read a process's time", "it is not supported on macOS")
}

// gauge knows only the process.
type gauge struct {
	name string
	pid  int
}

func newGauge(name string, pid int) gauge { return gauge{name, pid} }

func (g gauge) size() instance.ProcessSize { return instance.ProcessSize{Name: g.name, PID: g.pid} }

// peer is who connected (LOCAL_PEERCRED, LOCAL_PEERPID; sys/un.h).
func peer(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var cred *unix.Xucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); credErr == nil {
			pid, credErr = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		}
	}); err != nil {
		return -1, 0, err
	}
	if credErr != nil {
		return -1, 0, credErr
	}
	return int(cred.Uid), pid, nil
}

// ownDescriptors does what CLOEXEC by default already does for Go's own files.
func ownDescriptors() { _ = os.Getpid() }
