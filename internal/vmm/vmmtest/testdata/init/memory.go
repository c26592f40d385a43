package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm/vmmtest/guest"
)

// word is what the guest remembers, in its memory and nowhere else.
var word atomic.Value

func remember(w string) { word.Store(w) }

func recall() string {
	w, _ := word.Load().(string)
	return w
}

// dropDisk empties the kernel's cache of a disk and asks for its size.
func dropDisk(serial string) (int64, error) {
	f, err := openDisk(serial, unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return 0, fmt.Errorf("flush: %w", err)
	}
	return f.Seek(0, 2)
}

// frames sends back every frame of the suite's type that the network device gets.
func frames() error {
	if err := loadModules("order.net"); err != nil {
		return err
	}
	found, err := filepath.Glob("/sys/class/net/*/device") // what is only software has none
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("there is no network device")
	}
	link, err := net.InterfaceByName(filepath.Base(filepath.Dir(found[0])))
	if err != nil {
		return err
	}
	sock, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(bigEndian(guest.FrameType)))
	if err != nil {
		return err
	}
	if err := up(sock, link.Name); err != nil {
		return err
	}
	if err := unix.Bind(sock, &unix.SockaddrLinklayer{Protocol: bigEndian(guest.FrameType), Ifindex: link.Index}); err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := unix.Read(sock, buf)
			if err != nil || n < 14 {
				continue
			}
			var to [6]byte
			copy(to[:], buf[:6])
			copy(buf[:6], buf[6:12])
			copy(buf[6:12], to[:])
			unix.Write(sock, buf[:n])
		}
	}()
	return nil
}

// up is what "ip link set dev NAME up" does.
func up(sock int, name string) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(sock, unix.SIOCSIFFLAGS, req)
}

// bigEndian is how a packet socket wants a protocol.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// kept is what exhaust has taken.
var kept [][]byte

// exhaust makes a kernel panic that has no trigger for that, as some have none.
func exhaust() {
	os.WriteFile("/proc/sys/vm/panic_on_oom", []byte("2"), 0)
	for {
		part := make([]byte, 1<<20)
		for i := 0; i < len(part); i += os.Getpagesize() {
			part[i] = 1
		}
		kept = append(kept, part)
	}
}
