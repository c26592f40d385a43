//go:build linux

package fuse

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns two connected descriptors. SOCK_SEQPACKET keeps messages apart,
// as /dev/fuse does.
func pair(t *testing.T, kind int) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds { // a message of 1 MiB must fit
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// message is n bytes that begin with their length.
func message(n int) []byte {
	m := bytes.Repeat([]byte{byte(n)}, n)
	binary.NativeEndian.PutUint32(m, uint32(n))
	return m
}

func start(t *testing.T) (kernel, host *os.File, ended <-chan error) {
	t.Helper()
	kernel, device := pair(t, unix.SOCK_SEQPACKET)
	host, channel := pair(t, unix.SOCK_STREAM)
	done := make(chan error, 1)
	go func() { done <- Pump(device, channel) }()
	t.Cleanup(func() { // both directions end before their descriptors go
		unix.Shutdown(int(kernel.Fd()), unix.SHUT_RDWR)
		unix.Shutdown(int(host.Fd()), unix.SHUT_RDWR)
	})
	return kernel, host, done
}

func TestPumpKeepsMessagesWhole(t *testing.T) {
	kernel, host, _ := start(t)
	sizes := []int{16, 17, 4096, 100, 60_000, 16, 150_000}
	go func() {
		var all []byte
		for _, n := range sizes {
			all = append(all, message(n)...)
		}
		for len(all) > 0 { // in pieces that fit nothing
			n := min(4093, len(all))
			host.Write(all[:n])
			all = all[n:]
		}
	}()
	buf := make([]byte, maxMessage)
	for _, want := range sizes {
		n, err := unix.Read(int(kernel.Fd()), buf)
		if err != nil || !bytes.Equal(buf[:max(n, 0)], message(want)) {
			t.Fatalf("got %d bytes, want one message of %d: %v", n, want, err)
		}
	}
	for _, n := range sizes {
		if _, err := unix.Write(int(kernel.Fd()), message(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(host, buf[:n]); err != nil || !bytes.Equal(buf[:n], message(n)) {
			t.Fatalf("request of %d: %v", n, err)
		}
	}
}

func TestPumpEnds(t *testing.T) {
	for what, test := range map[string]struct {
		sent []byte
		want string
	}{
		"closed between messages": {message(20), ""},
		"closed inside a message": {message(20)[:18], "unexpected EOF"},
		"closed inside a length":  {message(20)[:3], "unexpected EOF"},
		"shorter than its header": {binary.NativeEndian.AppendUint32(nil, 15), "announced"},
		"giant":                   {binary.NativeEndian.AppendUint32(nil, 1<<31), "announced"},
	} {
		t.Run(what, func(t *testing.T) {
			kernel, host, ended := start(t)
			host.Write(append(test.sent, make([]byte, map[bool]int{true: 16}[test.want == "announced"])...))
			unix.Shutdown(int(host.Fd()), unix.SHUT_WR)
			err := <-ended
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			n, _, _ := unix.Recvfrom(int(kernel.Fd()), make([]byte, 64), unix.MSG_DONTWAIT)
			if test.want != "" && n > 0 {
				t.Errorf("%d bytes of a broken message reached the kernel", n)
			}
		})
	}
}

// The kernel tells that a caller has gone by ENOENT, which is no end; a file
// that is not a FUSE device is.
func TestPumpReportsADeadDevice(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	host, channel := pair(t, unix.SOCK_STREAM)
	defer unix.Shutdown(int(host.Fd()), unix.SHUT_RDWR)
	if err := Pump(dir, channel); err == nil || !strings.Contains(err.Error(), "/dev/fuse") {
		t.Error(err)
	}
}
