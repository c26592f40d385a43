package broker

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/egress"
	"aegis/internal/resolve"
)

func TestOwn(t *testing.T) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	addrs := []netip.Addr{netip.MustParseAddr("127.9.9.9")}
	for _, n := range nets {
		a, _ := netip.AddrFromSlice(n.(*net.IPNet).IP)
		addrs = append(addrs, a.Unmap())
	}
	for _, a := range addrs {
		if is, err := own(a); !is || err != nil {
			t.Errorf("%s is not the host's: %v", a, err)
		}
	}
	for _, a := range []string{"93.184.216.34", "10.77.0.1", "2606:2800:220:1::34", "fd12::1"} {
		if is, err := own(netip.MustParseAddr(a)); is || err != nil {
			t.Errorf("%s: %v, %v", a, is, err)
		}
	}
}

// The host's addresses are those of the moment of a dial, also when they are no interface's.
func TestOwnAsItIsNow(t *testing.T) {
	inOwnNetwork(t)
	s := NewServer(egress.New(egress.Rules{Mode: egress.ModeLAN}), &resolve.Host{})
	for _, change := range [][]string{ // what makes the last word's address the host's
		{"addr", "add", "dev", "lo", "93.184.216.34"},
		{"route", "add", "dev", "lo", "local", "93.184.216.35"},
		{"route", "add", "dev", "lo", "local", "10.1.2.3"},
		{"addr", "add", "dev", "lo", "2606:2800:220:1::34"},
		{"route", "add", "dev", "lo", "local", "2606:2800:220:1::35"},
	} {
		addr := netip.MustParseAddr(change[len(change)-1])
		to := dial{"tcp", netip.AddrPortFrom(addr, 80)}
		if err := s.decide(to); err != nil {
			t.Errorf("%s before it is the host's: %v", addr, err)
		}
		ip(t, change...)
		var err error
		for range 1000 { // an address of IPv6 is the host's a moment later
			if err = s.decide(to); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if denied, ok := err.(*egress.Denied); !ok || denied.Class != egress.Own {
			t.Errorf("%s is the host's and not denied as such: %v", addr, err)
		}
	}
}

// inOwnNetwork puts the test's thread, and what it starts, into a network namespace of
// its own; the thread ends with the test.
func inOwnNetwork(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("pending: a network of the test's own needs root, and the program ip")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("pending: a network of the test's own: " + err.Error())
	}
	ip(t, "link", "set", "lo", "up")
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v\n%s", args, err, out)
	}
}
