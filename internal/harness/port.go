//go:build linux

package harness

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the virtio-serial ports; package vmm has the same in PortControl and
// PortFS, and a test of package guest compares them.
const (
	controlPort = "aegis.control"
	fsPort      = "aegis.fs"
)

// openPort opens a port of the host, as soon as its device appears, or the host has
// dialled. A port can be open once at a time.
func openPort(name string, wait time.Duration) (*port, error) {
	if vsock != nil {
		f, err := vsock.accept(name)
		if err != nil {
			return nil, err
		}
		return newPort(f, func() (*os.File, error) { return vsock.accept(name) }), nil
	}
	path, err := findPort(name, wait)
	if err != nil {
		return nil, err
	}
	// The os package finds that the device can be polled: a read of an idle port
	// then parks a goroutine and no thread.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open port %q: %w", name, err)
	}
	return newPort(f, nil), nil
}

// findPort waits for the device of a virtio-serial port. The host announces
// names by messages, some time after the driver has started.
func findPort(name string, wait time.Duration) (string, error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		files, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name {
				return "/dev/" + filepath.Base(filepath.Dir(file)), nil
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("find port %q: no such virtio-serial port after %s", name, wait)
		}
		time.Sleep(pause)
	}
}

// openForPump opens a port for a process that uses plain system calls. Where the host
// dials, it is what the host will dial, since that may be long after: see dialled.
func openForPump(name string) (*os.File, error) {
	if vsock != nil {
		return vsock.share(name)
	}
	path, err := findPort(name, bootWait)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open port %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// port is a port as a net.Conn. It has no deadlines: the host may freeze this machine
// for any time, in the middle of a read or a write.
type port struct {
	file  atomic.Pointer[os.File]
	again func() (*os.File, error) // waits for the host to dial again; nil: it needs not
	heard atomic.Bool              // the host has been there
}

func newPort(f *os.File, again func() (*os.File, error)) *port {
	p := &port{again: again}
	p.file.Store(f)
	return p
}

// Read waits while the host's end is not connected, which the device tells by a
// read of 0 bytes; once the host was heard, the same is the end of the link.
func (p *port) Read(b []byte) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		n, err := p.file.Load().Read(b)
		if n > 0 {
			p.heard.Store(true)
		}
		if n > 0 || err == nil || p.heard.Load() {
			return n, err
		}
		if p.again != nil { // the connection was given up, or is one from before a restore
			if err := p.redial(); err != nil {
				return 0, err
			}
			continue
		}
		if err != io.EOF {
			return n, err
		}
		time.Sleep(pause)
	}
}

// redial takes the host's next connection in the place of the last.
func (p *port) redial() error {
	f, err := p.again()
	if err != nil {
		return err
	}
	p.file.Swap(f).Close()
	return nil
}

func (p *port) Write(b []byte) (int, error) { return p.file.Load().Write(b) }

func (p *port) Close() error { return p.file.Load().Close() }

// forget makes Read wait again while the host's end is not connected: the next host
// may be that of a restored VM.
func (p *port) forget() { p.heard.Store(false) }

func (p *port) LocalAddr() net.Addr            { return portAddr(p.file.Load().Name()) }
func (p *port) RemoteAddr() net.Addr           { return portAddr("host") }
func (*port) SetDeadline(time.Time) error      { return nil }
func (*port) SetReadDeadline(time.Time) error  { return nil }
func (*port) SetWriteDeadline(time.Time) error { return nil }

type portAddr string

func (portAddr) Network() string  { return "port" }
func (a portAddr) String() string { return string(a) }
