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

func withNetwork(l *instance.Launch) { l.Assignment.Net = &instance.Net{Mode: egress.ModePublic} }

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
	if w.net != nil || w.network != nil || w.network.guest() != nil {
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
	now := time.Unix(1e9, 0)
	lines := 0
	for range 5000 {
		if d.line("tcp 10.0.0.1:80", now) != "" {
			lines++
		}
	}
	if lines != denialBurst {
		t.Errorf("%d lines at once", lines)
	}
	if got := d.line("tcp 10.0.0.1:80", now.Add(denialEvery)); !strings.HasSuffix(got, "(and 4990 more before it)") {
		t.Errorf("%q", got)
	}
	if got := d.line("x", now.Add(denialEvery)); got != "" {
		t.Errorf("%q", got)
	}
}
