//go:build linux

package harness

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// checksum is of RFC 1071.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts { // each of even length
		for i := 0; i+1 < len(p); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(p[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// syn is a frame that begins a connection from one address to another.
func syn(to net.HardwareAddr, from, at netip.AddrPort) []byte {
	ip := []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}
	ip = append(append(ip, from.Addr().AsSlice()...), at.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	tcp := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from.Port()), at.Port())
	tcp = append(tcp, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(tcp[16:], checksum(ip[12:20], []byte{0, unix.IPPROTO_TCP, 0, 20}, tcp))
	frame := append(append([]byte{}, to...), 2, 9, 9, 9, 9, 9, 8, 0)
	return append(append(frame, ip...), tcp...)
}

// wired is a namespace of this thread's with a device that let streams in.
func wired(t *testing.T, in *wire.Ingress) (tap *os.File, index int) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("pending: a network namespace needs root here: %v", err)
	}
	tap, err := openTAP(device)
	if err != nil {
		t.Skipf("pending: no TAP here: %v", err)
	}
	t.Cleanup(func() { tap.Close() })
	if err := raiseLoopback(); err != nil {
		t.Fatal(err)
	}
	if index, err = findDevice(device, 0); err != nil {
		t.Fatal(err)
	}
	n := *someNetwork
	n.Ingress = in
	if err := setUp(index, &n); err != nil {
		t.Fatal(err)
	}
	if err := openIngress(index, &n); err != nil {
		t.Fatal(err)
	}
	return tap, index
}

// reply is the flags of the first answer to a port of ours that comes out of the device
// in time, or 0.
func reply(tap *os.File, port uint16, wait time.Duration) byte {
	tap.SetReadDeadline(time.Now().Add(wait))
	frame := make([]byte, maxFrame)
	for {
		n, err := tap.Read(frame)
		if err != nil {
			return 0
		}
		f := frame[:n]
		if n >= 42 && f[12] == 8 && f[13] == 6 { // who has the gateway (RFC 826)? We, if the guest's address asks.
			if from := netip.AddrFrom4([4]byte(f[28:32])); from.String() != "10.9.9.2" {
				continue
			}
			answer := append(append(append([]byte{}, f[6:12]...), 2, 9, 9, 9, 9, 9), f[12:20]...)
			answer = append(append(append(answer, 0, 2, 2, 9, 9, 9, 9, 9), f[38:42]...), f[22:32]...)
			tap.Write(answer)
			continue
		}
		if n >= 54 && f[12] == 8 && f[13] == 0 && f[23] == unix.IPPROTO_TCP && binary.BigEndian.Uint16(f[36:]) == port {
			return f[47]
		}
	}
}

// The host's streams reach exposed ports of the loopback, and nothing else; what
// processes of the guest do among themselves stays as it was.
func TestIngress(t *testing.T) {
	in := &wire.Ingress{Ports: []uint16{80, 81}, First: 64000, Last: 65534}
	tap, index := wired(t, in)
	app, err := net.Listen("tcp4", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	mac, _ := net.ParseMAC(someNetwork.MAC)
	local := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }
	const synack, rstack = 0x12, 0x14
	tap.Write(syn(mac, local(64000), local(80)))
	if got := reply(tap, 64000, 5*time.Second); got != synack {
		t.Errorf("the listener answers %#x", got)
	}
	tap.Write(syn(mac, local(65534), local(81)))
	if got := reply(tap, 65534, 5*time.Second); got != rstack {
		t.Errorf("a port without a listener answers %#x", got)
	}
	other, err := net.Listen("tcp4", "127.0.0.1:90")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tap.Write(syn(mac, local(64001), local(90)))
	if got := reply(tap, 64001, 100*time.Millisecond); got != 0 {
		t.Errorf("a port that is not exposed answers %#x", got)
	}
	for _, at := range []string{"127.0.0.1:80", "127.0.0.1:90"} { // the guest's own, to and from
		converse(t, at, map[string]net.Listener{"127.0.0.1:80": app, "127.0.0.1:90": other}[at])
	}
	high, err := net.Listen("tcp4", "127.0.0.1:64100")
	if err != nil {
		t.Fatal(err)
	}
	defer high.Close()
	converse(t, "127.0.0.1:64100", high)
	again(t, tap, index, in)
	reserved, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	if strings.TrimSpace(string(reserved)) != "64000-65534" {
		t.Errorf("reserved: %s", reserved)
	}
}

// again takes the device down and sets it up for another port, as after a rehearsal.
func again(t *testing.T, tap *os.File, index int, in *wire.Ingress) {
	mac, _ := net.ParseMAC(someNetwork.MAC)
	local := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }
	const rstack = 0x14
	n := *someNetwork
	n.Ingress = in
	if err := takeDown(index, &n); err != nil {
		t.Fatal(err)
	}
	if err := setUp(index, &n); err != nil {
		t.Fatal(err)
	}
	tap.Write(syn(mac, local(64002), local(80)))
	if got := reply(tap, 64002, 100*time.Millisecond); got != 0 {
		t.Errorf("after it was taken down a port answers %#x", got)
	}
	n.Ingress = &wire.Ingress{Ports: []uint16{82}, First: in.First, Last: in.Last}
	if err := openIngress(index, &n); err != nil {
		t.Fatal(err)
	}
	tap.Write(syn(mac, local(64003), local(80)))
	if got := reply(tap, 64003, 100*time.Millisecond); got != 0 {
		t.Errorf("set up for another port, this one answers %#x", got)
	}
	tap.Write(syn(mac, local(64004), local(82)))
	if got := reply(tap, 64004, 5*time.Second); got != rstack {
		t.Errorf("set up again, a port without a listener answers %#x", got)
	}
}

// converse connects to a listener as a process of this machine does. The host's streams
// that wait at it are none of its own.
func converse(t *testing.T, at string, l net.Listener) {
	t.Helper()
	c, err := net.DialTimeout("tcp4", at, 5*time.Second)
	if err != nil {
		t.Errorf("dial %s: %v", at, err)
		return
	}
	defer c.Close()
	io.WriteString(c, "x")
	for {
		served, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		if served.RemoteAddr().String() == c.LocalAddr().String() {
			io.WriteString(served, "y")
			served.Close()
			break
		}
		served.Close()
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(c); string(got) != "y" {
		t.Errorf("%s: %q, %v", at, got, err)
	}
}
