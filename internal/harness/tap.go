//go:build linux

package harness

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// netPort is the channel of frames where the VM has no network device; package vmm
// has the same in PortNet.
const netPort = "aegis.net"

// maxFrame is of a frame, in bytes: the largest IP packet and its Ethernet header.
const maxFrame = 65550 + 14

// openTAP makes a device whose frames this process reads and writes.
func openTAP(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make device %q: %w", name, err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make device %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// pumpFrames carries frames between a device and a channel until one of them ends.
// On the channel each frame is behind its length (u32, big-endian).
func pumpFrames(tap, channel io.ReadWriter) {
	go func() {
		defer endOnPanic()
		buf := make([]byte, 4+maxFrame)
		for {
			n, err := tap.Read(buf[4:])
			if err != nil {
				return
			}
			binary.BigEndian.PutUint32(buf, uint32(n))
			if _, err := channel.Write(buf[:4+n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, maxFrame)
	for {
		if _, err := io.ReadFull(channel, buf[:4]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(buf)
		if n > maxFrame {
			say("network: a frame of %d bytes", n)
			return
		}
		if _, err := io.ReadFull(channel, buf[:n]); err != nil {
			return
		}
		tap.Write(buf[:n]) // one that the device refuses is lost, as on a wire
	}
}
