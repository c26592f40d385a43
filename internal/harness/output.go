//go:build linux

package harness

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// chunk is how much goes into one message of the mux. With the mux's header and a
// frame's it fits into one write to the port, which takes 32 KiB at a time
// (drivers/char/virtio_console.c, port_fops_write): a byte more is a second write,
// buffer and interrupt.
const chunk = 32<<10 - 32

// hangUp bounds how long a terminal is read after its process ended. The kernel
// hangs it up then, and what was written comes before the end; only a process
// outside the session that has the terminal open can delay that.
const hangUp = 200 * time.Millisecond

// frames writes a process's frames, whole and one after the other.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) write(t wire.FrameType, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.WriteFrame(f.w, t, p)
}

func (f *frames) credit(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.WriteCredit(f.w, n)
}

func (f *frames) exit(e wire.Exit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.WriteExit(f.w, e)
}

// chunks are buffers for output, used again: clearing new ones takes an exec
// longer, without KVM, than all else that it does here.
var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// copyOutput sends what the process writes until nothing can follow, or, once
// stopOutput was called, until what was written before is through. When send
// fails the rest is read and dropped, so that the process is not held up.
func copyOutput(from *os.File, send func([]byte) error) {
	lent := chunks.Get().(*[chunk]byte)
	defer chunks.Put(lent)
	buf := lent[:]
	dropping := false
	pass := func(n int) {
		if n > 0 && !dropping {
			dropping = send(buf[:n]) != nil
		}
	}
	for {
		n, err := from.Read(buf)
		pass(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return
		}
	}
	from.SetReadDeadline(time.Time{})
	for left := available(from); left > 0; {
		n, err := from.Read(buf[:min(left, len(buf))])
		pass(n)
		if err != nil {
			return
		}
		left -= n
	}
}

// stopOutput makes copyOutput end, after the process did. Its background
// children may hold the stream open for ever.
func stopOutput(from *os.File, tty bool) {
	var patience time.Duration
	if tty {
		patience = hangUp
	}
	from.SetReadDeadline(time.Now().Add(patience))
}

// available is how many bytes a pipe or terminal holds.
func available(f *os.File) (n int) {
	if onDescriptor(f, func(fd int) (err error) { n, err = unix.IoctlGetInt(fd, unix.TIOCINQ); return err }) != nil {
		return 0
	}
	return n
}

// discard reads for children that were left behind, until the last has ended:
// they are neither stopped by a full pipe nor killed by a broken one.
func discard(f *os.File) {
	io.Copy(io.Discard, f)
	f.Close()
}
