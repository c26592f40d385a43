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

// openPort opens a port of the host, as soon as its device appears. A port can be
// open once at a time. This is where a vsock listener would go for backends that
// have no virtio-serial.
func openPort(name string, wait time.Duration) (*port, error) {
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
	return &port{File: f}, nil
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

// openPortBlocking opens a port for a process that uses plain system calls.
func openPortBlocking(name string) (*os.File, error) {
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

// port is a virtio-serial port as a net.Conn. It has no deadlines: the host may
// freeze this machine for any time, in the middle of a read or a write.
type port struct {
	*os.File
	heard atomic.Bool // the host has been there
}

// Read waits while the host's end is not connected, which the device tells by a
// read of 0 bytes; once the host was heard, the same is the end of the link.
func (p *port) Read(b []byte) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		n, err := p.File.Read(b)
		if n > 0 {
			p.heard.Store(true)
		}
		if n > 0 || err != io.EOF || p.heard.Load() {
			return n, err
		}
		time.Sleep(pause)
	}
}

// forget makes Read wait again while the host's end is not connected: the next host
// may be that of a restored VM.
func (p *port) forget() { p.heard.Store(false) }

func (p *port) LocalAddr() net.Addr            { return portAddr(p.Name()) }
func (p *port) RemoteAddr() net.Addr           { return portAddr("host") }
func (*port) SetDeadline(time.Time) error      { return nil }
func (*port) SetReadDeadline(time.Time) error  { return nil }
func (*port) SetWriteDeadline(time.Time) error { return nil }

type portAddr string

func (portAddr) Network() string  { return "virtio-serial" }
func (a portAddr) String() string { return string(a) }
