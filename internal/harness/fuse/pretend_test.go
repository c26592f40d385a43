//go:build linux

package fuse

import (
	"encoding/binary"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPretend asks as the kernel does. That it is satisfied is seen in a VM.
func TestPretend(t *testing.T) {
	kernel, host := pair(t, unix.SOCK_STREAM)
	ended := make(chan error, 1)
	go func() { ended <- Pretend(host) }()
	ne := binary.NativeEndian
	ask := func(op, unique, size int) {
		request := message(inHeader + size)
		ne.PutUint32(request[4:], uint32(op))
		ne.PutUint64(request[8:], uint64(unique))
		if _, err := kernel.Write(request); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		op, size int
		errno    unix.Errno
		body     int
	}{
		{opInit, 64, 0, initOut}, {opGetattr, 16, 0, attrOut}, {opStatfs, 0, 0, statfsOut}, {opLookup, 6, unix.ENOENT, 0},
		{opOpendir, 8, 0, openOut}, {opReaddir, 40, 0, 0}, {opReleasedir, 24, 0, 0}, {0xffff, 5000, unix.ENOSYS, 0},
	} {
		ask(opForget, 1000, 8) // has no reply
		ask(c.op, i+1, c.size)
		reply := make([]byte, outHeader+c.body)
		if _, err := io.ReadFull(kernel, reply); err != nil {
			t.Fatal(err)
		}
		if int(ne.Uint32(reply)) != len(reply) || -int32(ne.Uint32(reply[4:])) != int32(c.errno) || ne.Uint64(reply[8:]) != uint64(i+1) {
			t.Errorf("operation %d is answered with % x", c.op, reply[:outHeader])
		}
	}
	kernel.Write(ne.AppendUint32(nil, inHeader-1))
	kernel.Write(make([]byte, inHeader))
	if err := <-ended; err != io.ErrUnexpectedEOF {
		t.Errorf("a message shorter than its header: %v", err)
	}
}
