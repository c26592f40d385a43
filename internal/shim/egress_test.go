package shim

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/egress"
	"aegis/internal/instance"
	"aegis/internal/shim/broker"
	"aegis/internal/wire"
)

func withNetwork(l *instance.Launch) {
	l.NIC, l.Assignment.Net = true, &instance.Net{Mode: egress.ModePublic}
}

// The guest is told its network in the message that starts it, and the monitor's lack of
// a device makes it a TAP.
func TestGuestIsToldItsNetwork(t *testing.T) {
	told := make(chan *wire.Network, 1)
	w := begin(t, on(wire.OpStart, func(g *scripted, s *yamux.Stream, req wire.Request) {
		told <- req.Start.Network
		tellHost(s, wire.Reply{})
		<-g.term
		wire.WriteExit(s, wire.Exit{Signal: 15})
	}), withNetwork)
	w.mustStart(false)
	n := <-told
	if n == nil || !n.TAP || n.MTU != 65520 || len(n.Addresses) == 0 || len(n.Servers) != 1 {
		t.Errorf("%+v", n)
	}
	if mac, err := net.ParseMAC(n.MAC); err != nil || mac[0] != 2 || n.MAC != hardwareAddress(w.launch.Assignment.Instance).String() {
		t.Errorf("hardware address %s, %v", n.MAC, err)
	}
	if s := w.network.stats(); s == nil || s.Denied != 0 {
		t.Errorf("%+v", s)
	}
}

// Of IPv6 a guest has an address when the host has a way to it.
func TestAddressesOfAGuest(t *testing.T) {
	for ipv6, want := range map[bool]int{true: 2, false: 1} {
		n := (&network{ipv6: ipv6}).guest(true)
		if len(n.Addresses) != want || len(n.Gateways) != want {
			t.Errorf("IPv6 %v: %v by %v", ipv6, n.Addresses, n.Gateways)
		}
	}
}

func TestNetworkHelperDies(t *testing.T) {
	w := begin(t, script{}, withNetwork)
	w.mustStart(false)
	if err := w.net.cmd.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Reason != instance.VMDied || !strings.Contains(exit.Error, "the network ended: signal: killed") {
		t.Errorf("%+v", exit)
	}
}

func TestWithoutNetwork(t *testing.T) {
	w := begin(t, script{}, nil)
	w.mustStart(false)
	if w.net != nil || w.network != nil || w.network.guest(true) != nil {
		t.Error("a VM without a network has one")
	}
}

func TestTrafficIsNews(t *testing.T) {
	w := begin(t, script{}, withNetwork)
	w.mustStart(false)
	n := newNews()
	w.mu.Lock()
	w.watchers[n] = struct{}{}
	w.mu.Unlock()
	w.counted(broker.Counts{Dropped: 1})
	for _, report := range n.take() {
		if report.Traffic {
			t.Error("a dropped frame is activity")
		}
	}
	w.counted(broker.Counts{Dropped: 1, Sent: 1})
	found := false
	for _, report := range n.take() {
		text, _ := json.Marshal(report)
		found = found || string(text) == `{"traffic":true}`
	}
	if !found {
		t.Error("traffic is not told")
	}
}

// A flood of refusals is a few lines, and none is forgotten.
func TestDenialsAreThinned(t *testing.T) {
	var d denials
	why := &egress.Denied{Target: "10.0.0.1:80", Class: egress.Private, Why: "the network is public"}
	now := time.Unix(1e9, 0)
	told := 0
	for range 5000 {
		if d.thin("tcp", why, now) != nil {
			told++
		}
	}
	if told != denialBurst {
		t.Errorf("%d are told at once", told)
	}
	next := d.thin("tcp", why, now.Add(denialEvery))
	if want := (instance.Denial{Network: "tcp", Target: "10.0.0.1:80", Class: "private", Why: "the network is public", Untold: 4990}); next == nil || *next != want {
		t.Fatalf("%+v", next)
	}
	if line := denialLine(next); line != "network: denied tcp 10.0.0.1:80 (private): the network is public (and 4990 more before it)" {
		t.Errorf("%q", line)
	}
	if got := d.thin("tcp", why, now.Add(denialEvery)); got != nil {
		t.Errorf("%+v", got)
	}
}

// Who watches is told of denials, and one that does not read for long of their number.
func TestDenialsAreNews(t *testing.T) {
	w := begin(t, script{}, withNetwork)
	w.mustStart(false)
	n := newNews()
	w.mu.Lock()
	w.watchers[n] = struct{}{}
	w.mu.Unlock()
	w.denied("dns", &egress.Denied{Target: "evil.test", Why: "it is not on the allow-list"})
	for range maxDenied + 3 {
		w.broadcast(instance.Report{Denied: &instance.Denial{Network: "tcp", Untold: 1}})
	}
	count, first := 0, instance.Denial{}
	for _, report := range n.take() {
		if d := report.Denied; d != nil {
			if count == 0 {
				first = *d
			}
			count += 1 + d.Untold
		}
	}
	if want := (instance.Denial{Network: "dns", Target: "evil.test", Why: "it is not on the allow-list"}); first != want {
		t.Errorf("%+v", first)
	}
	if count != 1+2*(maxDenied+3) {
		t.Errorf("%d denials are told or counted", count)
	}
	if again := n.take(); len(again) > 0 && again[0].Denied != nil {
		t.Error("told twice")
	}
}
