//go:build linux

package harness

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

var someNetwork = &wire.Network{
	MAC: "02:00:00:00:00:07", MTU: 65520, Addresses: []string{"10.9.9.2/30", "fd00:9::2/126"},
	Gateways: []string{"10.9.9.1", "fd00:9::1"}, Servers: []string{"10.9.9.1"}, Search: []string{"a.test", "b.test"}, Options: []string{"ndots:2"},
}

func TestResolvConf(t *testing.T) {
	want := "nameserver 10.9.9.1\nsearch a.test b.test\noptions ndots:2\n"
	if got := resolvConf(someNetwork); got != want {
		t.Errorf("%q", got)
	}
	if got := resolvConf(&wire.Network{Servers: []string{"1.1.1.1\nnameserver 6.6.6.6"}}); strings.Count(got, "\n") != 1 {
		t.Errorf("a value makes a line: %q", got)
	}
	if got := resolvConf(nil); strings.Contains(got, "nameserver") {
		t.Errorf("%q", got)
	}
}

// TestSetUp sets a TAP up as the guest does, in a network namespace of its own.
func TestSetUp(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("pending: a network namespace needs root here: %v", err)
	}
	tap, err := openTAP(device)
	if err != nil {
		t.Skipf("pending: no TAP here: %v", err)
	}
	defer tap.Close()
	index, err := findDevice(device, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := setUp(index, someNetwork); err != nil {
		t.Fatal(err)
	}
	eth, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	addrs, _ := eth.Addrs()
	if eth.MTU != 65520 || eth.HardwareAddr.String() != someNetwork.MAC || eth.Flags&net.FlagUp == 0 {
		t.Errorf("%+v", eth)
	}
	for i, want := range someNetwork.Addresses {
		if len(addrs) != 2 || addrs[i].String() != want {
			t.Errorf("addresses %v, want %s", addrs, want)
		}
	}
	routes, _ := os.ReadFile("/proc/thread-self/net/route")
	if !strings.Contains(string(routes), device+"\t00000000\t0109090A") {
		t.Errorf("no default route:\n%s", routes)
	}
	for _, spoil := range []func(*wire.Network){
		func(n *wire.Network) { n.MAC = "x" },
		func(n *wire.Network) { n.Addresses = []string{"10.9.9.2"} },
		func(n *wire.Network) { n.Gateways = []string{"8.8.8.8"} },
	} {
		bad := *someNetwork
		spoil(&bad)
		if setUp(index, &bad) == nil {
			t.Errorf("accepted: %+v", bad)
		}
	}
}

// duplex is a channel whose two directions a test holds.
type duplex struct {
	in  *bytes.Reader
	out chan []byte
}

func (d duplex) Read(b []byte) (int, error) { return d.in.Read(b) }
func (d duplex) Write(b []byte) (int, error) {
	d.out <- append([]byte(nil), b...)
	return len(b), nil
}

func TestPumpFrames(t *testing.T) {
	framed := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	tap := duplex{bytes.NewReader([]byte("from the device")), make(chan []byte, 8)}
	channel := duplex{bytes.NewReader(append(append(framed("one"), framed("two")...), 0xff, 0xff, 0xff, 0xff)), make(chan []byte, 8)}
	pumpFrames(tap, channel)
	if a, b := <-tap.out, <-tap.out; string(a) != "one" || string(b) != "two" {
		t.Errorf("%q, %q", a, b)
	}
	if got := <-channel.out; !bytes.Equal(got, framed("from the device")) {
		t.Errorf("%q", got)
	}
	if len(tap.out) != 0 {
		t.Error("an oversized frame was delivered")
	}
}
