package fake

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
)

// gate is open or shut. Passing a shut gate waits.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		g.opened = make(chan struct{})
	default:
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		return false
	default:
		return true
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	<-opened
}

// gated writes only while the machine runs.
type gated struct {
	w io.Writer
	m *machine
}

func (g *gated) Write(b []byte) (int, error) {
	g.m.gate.pass()
	if err := g.m.ctx.Err(); err != nil {
		return 0, err
	}
	return g.w.Write(b)
}

// wire makes a port: host end – pumps behind the gate – guest end.
func (m *machine) wire(port vmm.Port) (net.Conn, error) {
	host, outer, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make port %q: %w", port.Name, err)
	}
	inner, guest, err := pair()
	if err != nil {
		host.Close()
		outer.Close()
		return nil, fmt.Errorf("make port %q: %w", port.Name, err)
	}
	m.conns[port.Name] = host
	m.inner = append(m.inner, outer, inner, guest)
	m.pump.Go(func() { m.copy(inner, outer) })
	m.out.Add(1)
	m.pump.Go(func() { defer m.out.Done(); m.copy(outer, inner) })
	return guest, nil
}

// hold duplicates the disks' files, since the caller closes its own after Boot. A
// disk without one is zeros.
func (m *machine) hold(disks []vmm.Disk) ([]vmm.Disk, error) {
	var out []vmm.Disk
	for _, d := range disks {
		file, err := copyOf(d)
		if err != nil {
			return nil, fmt.Errorf("use disk %q: %w", d.Serial, err)
		}
		d.File = file
		m.inner = append(m.inner, d.File)
		out = append(out, d)
	}
	return out, nil
}

func copyOf(d vmm.Disk) (*os.File, error) {
	if d.File == nil {
		return os.OpenFile("/dev/zero", os.O_RDWR, 0)
	}
	fd, err := unix.FcntlInt(d.File.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.Serial), nil
}

// copy moves bytes while the gate is open, as long as both ends last.
func (m *machine) copy(to, from *net.UnixConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		m.gate.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			to.CloseWrite()
			return
		}
	}
}

// pair is a connected pair of unix sockets.
func pair() (*net.UnixConn, *net.UnixConn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "port")
		conn, err := net.FileConn(f)
		f.Close()
		if err != nil {
			if i == 1 {
				conns[0].Close()
			} else {
				unix.Close(fds[1])
			}
			return nil, nil, err
		}
		conns[i] = conn.(*net.UnixConn)
	}
	return conns[0], conns[1], nil
}

// substitute puts what is behind from behind the descriptor of disk. Both stay open.
func substitute(disk, from *os.File) error {
	to, err := disk.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = to.Control(func(fd uintptr) { failed = dup(int(from.Fd()), int(fd)) })
	return errors.Join(err, failed)
}
