//go:build linux

package harness

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// TestMountComesBeforeTheStart has it done any number of times before the one start, and
// never after it.
func TestMountComesBeforeTheStart(t *testing.T) {
	link, _ := linked(t)
	for range 2 {
		if err := errors.Join(link.Mount(t.Context(), wire.Ahead{}), link.Unmount(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	p, _, err := link.Start(t.Context(), wire.Start{Hostname: "box", Main: wire.Process{Args: []string{"true"}, Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, p, nil)
	for what, err := range map[string]error{"mount": link.Mount(t.Context(), wire.Ahead{}), "unmount": link.Unmount(t.Context())} {
		if !fault.Is(err, fault.WrongState) {
			t.Errorf("%s after the start: %v", what, err)
		}
	}
}

// TestDisksMountedAhead are those of the start, or it fails: nobody gets another's disk.
func TestDisksMountedAhead(t *testing.T) {
	root := wire.Root{Base: "base", Disk: "disk", Size: 1 << 20, BaseType: "ext4"}
	other := root
	other.Size++
	for name, c := range map[string]struct {
		root      wire.Root
		rehearsal bool
		why       string
	}{
		"the same": {root, false, ""}, "another": {other, false, "another disk"}, "a rehearsal": {root, true, "another disk"},
	} {
		m := &vm{root: &root}
		ahead, err := m.settle(c.root, c.rehearsal)
		if c.why == "" && (err != nil || !ahead || m.root != nil) || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProgramsRunAhead runs them one after another, whatever becomes of them.
func TestProgramsRunAhead(t *testing.T) {
	link, _ := linked(t)
	file := filepath.Join(t.TempDir(), "file")
	programs := [][]string{{"aegis-has-no-such-program"}, {"false"}, {"sh", "-c", "pwd >> " + file}, {"sh", "-c", "echo $PYTHONDONTWRITEBYTECODE >> " + file}}
	if err := link.Mount(t.Context(), wire.Ahead{Programs: programs}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "/\n1\n" {
		t.Errorf("they wrote %q, %v", text, err)
	}
}

// TestNetworksAlike holds which network may be taken over that was joined ahead.
func TestNetworksAlike(t *testing.T) {
	one := wire.Network{MAC: "02:00:00:00:00:01", MTU: 1500, Addresses: []string{"10.0.0.2/24"}, Gateways: []string{"10.0.0.1"}, Servers: []string{"10.0.0.1"}}
	with := func(change func(*wire.Network)) *wire.Network {
		n := one
		change(&n)
		return &n
	}
	for name, c := range map[string]struct {
		ahead, start *wire.Network
		want         bool
	}{
		"the same":      {&one, with(func(*wire.Network) {}), true},
		"own address":   {&one, with(func(n *wire.Network) { n.MAC = "02:00:00:00:00:02" }), true},
		"streams":       {&one, with(func(n *wire.Network) { n.Ingress = &wire.Ingress{Ports: []uint16{80}} }), true},
		"more":          {&one, with(func(n *wire.Network) { n.Addresses = append(n.Addresses, "fd00::2/64") }), false},
		"another MTU":   {&one, with(func(n *wire.Network) { n.MTU = 9000 }), false},
		"other servers": {&one, with(func(n *wire.Network) { n.Servers = nil }), false},
		"a TAP":         {with(func(n *wire.Network) { n.TAP = true }), with(func(n *wire.Network) { n.TAP = true }), false},
		"none":          {&one, nil, false},
		"none ahead":    {nil, &one, false},
	} {
		if got := alike(c.ahead, c.start); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestNetworkIsTakenOver joins one ahead, in a network namespace of its own, and then as a
// start does: what is alike stays, what is not is joined anew, and nothing stays of none.
func TestNetworkIsTakenOver(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("pending: a network namespace needs root here: %v", err)
	}
	tap, err := openTAP(device)
	if err != nil {
		t.Skipf("pending: no TAP here: %v", err)
	}
	defer tap.Close()
	m := &vm{drivers: map[string]bool{"order.net": true}}
	own := *someNetwork
	own.MAC, own.Ingress = "02:00:00:00:00:08", &wire.Ingress{Ports: []uint16{80}, First: 65000, Last: 65010}
	smaller := own
	smaller.MTU, smaller.Ingress = 1500, nil
	for _, c := range []struct {
		name      string
		join      *wire.Network
		mac       string
		mtu       int
		addresses int
		ingress   bool
	}{
		{"ahead", someNetwork, "02:00:00:00:00:07", 65520, 2, false},
		{"the start", &own, "02:00:00:00:00:08", 65520, 2, true},
		{"ahead again", someNetwork, "02:00:00:00:00:07", 65520, 2, false},
		{"another", &smaller, "02:00:00:00:00:08", 1500, 2, false},
		{"none", nil, "02:00:00:00:00:08", 1500, 0, false},
	} {
		if err := m.join(c.join); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		eth, err := net.InterfaceByName(device)
		if err != nil {
			t.Fatal(err)
		}
		addrs, _ := eth.Addrs()
		if eth.HardwareAddr.String() != c.mac || eth.MTU != c.mtu || len(addrs) != c.addresses || m.ingress != c.ingress || eth.Flags&net.FlagUp == 0 != (c.join == nil) {
			t.Errorf("%s: %+v, %v, ingress %t", c.name, eth, addrs, m.ingress)
		}
		routes, _ := os.ReadFile("/proc/thread-self/net/route")
		if strings.Contains(string(routes), device+"\t00000000\t0109090A") != (c.join != nil) {
			t.Errorf("%s: routes:\n%s", c.name, routes)
		}
	}
}
