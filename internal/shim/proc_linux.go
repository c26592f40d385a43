package shim

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"aegis/internal/instance"

	"golang.org/x/sys/unix"
)

// cpuTime is what all threads of a process have used, by its process clock
// (clock_getcpuclockid(3): the complement of the PID above the clock's kind, 2 for
// scheduler time).
func cpuTime(pid int) (time.Duration, error) {
	const cpuClockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// gauge is the way to a process's memory: its smaps_rollup (proc(5)), opened while that
// is allowed, or nothing.
type gauge struct {
	name   string
	pid    int
	rollup *os.File
}

// newGauge is for a process that already runs its program.
func newGauge(name string, pid int) gauge {
	rollup, _ := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // without it sizes are zero
	return gauge{name, pid, rollup}
}

// size reads it. What cannot be read is zero.
func (g gauge) size() instance.ProcessSize {
	size := instance.ProcessSize{Name: g.name, PID: g.pid}
	body := make([]byte, 4096)
	n, _ := g.rollup.ReadAt(body, 0)
	for line := range bytes.Lines(body[:n]) {
		field := bytes.Fields(line)
		if len(field) != 3 || !bytes.Equal(field[2], []byte("kB")) {
			continue
		}
		kib, _ := strconv.ParseInt(string(field[1]), 10, 64)
		switch string(field[0]) {
		case "Rss:":
			size.Resident = kib << 10
		case "Private_Clean:", "Private_Dirty:":
			size.Private += kib << 10
		}
	}
	return size
}

// peer is who connected (unix(7), SO_PEERCRED).
func peer(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, 0, err
	}
	if credErr != nil {
		return -1, 0, credErr
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// ownDescriptors keeps whatever else a parent left open from our children
// (close_range(2)).
func ownDescriptors() {
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
}
