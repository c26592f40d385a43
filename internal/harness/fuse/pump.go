//go:build linux

package fuse

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds a message either way, header included. /dev/fuse refuses
// reads into less than a header, a WRITE's arguments and its payload.
const maxMessage = maxPayload + 4096

// outHeader is the size of struct fuse_out_header, the smallest reply.
const outHeader = 16

// Pump carries messages both ways until one side ends: the mount is gone or the
// channel is closed, which is nil, or anything else, which is an error. One
// direction may still be blocked then; the process is expected to exit. Both
// files are put into blocking mode.
func Pump(dev, channel *os.File) error {
	device, link := int(dev.Fd()), int(channel.Fd())
	ended := make(chan error, 2)
	go onThread(ended, func() error { return requests(device, link) })
	go onThread(ended, func() error { return replies(link, device) })
	err := <-ended
	runtime.KeepAlive(dev)
	runtime.KeepAlive(channel)
	return err
}

// onThread gives f a thread of its own: handing goroutines between threads
// costs more than carrying a small message.
func onThread(ended chan<- error, f func() error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ended <- f()
}

// requests carries from the kernel, which gives one whole message a read.
func requests(device, link int) error {
	buf := make([]byte, maxMessage)
	for {
		n, err := unix.Read(device, buf)
		switch err {
		case nil:
		case unix.EINTR, unix.EAGAIN, unix.ENOENT: // ENOENT: the caller was killed meanwhile
			continue
		case unix.ENODEV: // unmounted
			return nil
		default:
			return fmt.Errorf("read /dev/fuse: %w", err)
		}
		if n == 0 {
			return nil
		}
		if err := writeAll(link, buf[:n]); err != nil {
			return fmt.Errorf("send request: %w", err)
		}
	}
}

// replies carries to the kernel, which wants one whole message a write.
func replies(link, device int) error {
	r := reader{fd: link, buf: make([]byte, 2*maxMessage), waits: isPort(link)}
	for {
		msg, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := deliver(device, msg); err != nil {
			return fmt.Errorf("write /dev/fuse: %w", err)
		}
	}
}

func deliver(device int, msg []byte) error {
	for {
		_, err := unix.Write(device, msg)
		switch err {
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOENT: // nobody waits for this reply any more
			return nil
		}
		return err
	}
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// reader cuts a byte stream into messages without copying most of them.
type reader struct {
	fd    int
	buf   []byte // two messages: a whole one always fits behind start after a move
	start int    // first unread byte
	end   int    // behind the last byte
	waits bool   // a read of 0 is no end
}

// next returns the next message, valid until the following call.
func (r *reader) next() ([]byte, error) {
	if err := r.fill(outHeader); err != nil {
		return nil, err
	}
	n := int64(binary.NativeEndian.Uint32(r.buf[r.start:]))
	if n < outHeader || n > maxMessage {
		return nil, fmt.Errorf("read reply: %d bytes announced, %d to %d allowed", n, outHeader, maxMessage)
	}
	if err := r.fill(int(n)); err != nil {
		return nil, err
	}
	msg := r.buf[r.start : r.start+int(n)]
	r.start += int(n)
	return msg, nil
}

// fill reads until n bytes are there.
func (r *reader) fill(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.start+n > len(r.buf) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	for r.end-r.start < n {
		got, err := unix.Read(r.fd, r.buf[r.end:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("read reply: %w", err)
		case got > 0:
			r.end += got
		case r.waits:
			time.Sleep(portPause)
		case r.end == r.start:
			return io.EOF
		default:
			return fmt.Errorf("read reply: %w", io.ErrUnexpectedEOF)
		}
	}
	return nil
}

// portPause is how long to wait before reading again from a virtio port whose
// host end is not connected yet; its poll(2) does not block then.
const portPause = 10 * time.Millisecond

// isPort tells a virtio serial port from a socket: a read of 0 there means that
// the host is not connected, not that the stream has ended.
func isPort(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR
}
