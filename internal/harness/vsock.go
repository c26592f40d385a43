//go:build linux

package harness

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// vsockPorts are the numbers of the ports; package vmm has the same, and a test of
// package guest compares them.
var vsockPorts = map[string]uint32{controlPort: 1100, fsPort: 1101, netPort: 1102}

// listeners take what the host dials, by port. They are there from the start to the end:
// a host may dial before anybody here waits for it, and no process of the user's can
// take a port's place.
type listeners map[string]*os.File

// vsock is nil where the ports are virtio-serial's.
var vsock listeners

// listen opens every port.
func listen() (listeners, error) {
	if err := loadModules("/modules", "order.vsock"); err != nil {
		return nil, err
	}
	all := listeners{}
	for name, number := range vsockPorts {
		fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: number})
		}
		if err == nil {
			err = unix.Listen(fd, 4)
		}
		if err != nil {
			return nil, fmt.Errorf("listen on port %q: %w", name, err) // which ends the VM
		}
		all[name] = os.NewFile(uintptr(fd), name)
	}
	return all, nil
}

// accept waits for the host's next connection to a port. One that the host has given up
// meanwhile is passed over.
func (l listeners) accept(name string) (*os.File, error) {
	for {
		fd, err := l.next(name)
		if err != nil {
			return nil, fmt.Errorf("open port %q: %w", name, err)
		}
		if !hungUp(fd) {
			return os.NewFile(uintptr(fd), name), nil
		}
		unix.Close(fd)
	}
}

// next is accept of whatever comes. The runtime waits for it, no thread.
func (l listeners) next(name string) (int, error) {
	raw, err := l[name].SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Read(func(listener uintptr) bool {
		fd, _, failed = unix.Accept4(int(listener), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return fd, err
}

// share gives another descriptor of what a port's calls come to.
func (l listeners) share(name string) (*os.File, error) {
	fd, err := unix.FcntlInt(l[name].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("share port %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// dialled is accept for a process that uses plain system calls, on what openForPump gave:
// a port that the host need not dial is itself the result.
func dialled(fd int) (int, error) {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return fd, nil // no socket, or a connection
	}
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
			return -1, fmt.Errorf("wait for the host: %w", err)
		}
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case err != nil:
			return -1, fmt.Errorf("take the host's call: %w", err)
		case !hungUp(conn):
			return conn, nil
		default:
			unix.Close(conn)
		}
	}
}

// hungUp is whether the other end of a connection is gone.
func hungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
