package shim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"aegis/internal/confine"
	"aegis/internal/egress"
	"aegis/internal/instance"
	"aegis/internal/netstack"
	"aegis/internal/resolve"
	"aegis/internal/shim/broker"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// network is the shim's part of a guest's network: it decides, dials and counts.
type network struct {
	mac   net.HardwareAddr
	ipv6  bool
	host  resolve.Host
	ports []uint16 // of the guest that streams may come to, over the network

	served, asked atomic.Uint64 // bytes of payload from the guest and to it, over streams on the link

	mu      sync.Mutex
	server  *broker.Server // once the helper runs
	counts  broker.Counts
	denials denials
	denied  uint64
	rests   time.Time // until then no stream is tried over the network
}

// newNetwork is nil when the instance has no network.
func newNetwork(to instance.Assignment) *network {
	if to.Net == nil {
		return nil
	}
	return &network{mac: hardwareAddress(to.Instance), ipv6: broker.HasIPv6(), ports: to.Ports[:min(len(to.Ports), maxIngress)]}
}

// hardwareAddress is an instance's own, the same at each start: locally
// administered, of one station.
func hardwareAddress(id string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("mac " + id))
	return net.HardwareAddr(append([]byte{0x02}, sum[:5]...))
}

// guest is what the guest needs to know; nil without a network. nic: the VM has a
// device for frames.
func (n *network) guest(nic bool) *wire.Network {
	if n == nil {
		return nil
	}
	conf := n.host.Settings()
	w := &wire.Network{
		MAC: n.mac.String(), MTU: netstack.MTU, TAP: !nic,
		Addresses: []string{netstack.Guest4.String()}, Gateways: []string{netstack.Gateway4.String()},
		Servers: []string{netstack.Gateway4.String()}, Search: conf.Search, Options: conf.Options,
	}
	if nic && len(n.ports) > 0 {
		w.Ingress = &wire.Ingress{Ports: n.ports, First: netstack.FirstIngress, Last: netstack.LastIngress}
	}
	if n.ipv6 {
		w.Addresses = append(w.Addresses, netstack.Guest6.String())
		w.Gateways = append(w.Gateways, netstack.Gateway6.String())
	}
	return w
}

// openNetwork starts the helper, and the broker that it asks.
func (r *run) openNetwork(ctx context.Context, vm vmm.VM) error {
	if r.network == nil {
		return nil
	}
	to := r.owner.Net
	rules, err := egress.Parse(to.Mode, to.AllowHosts, to.AllowCIDRs)
	if err != nil {
		return err
	}
	channel, err := vm.Channel(ctx, vmm.PortNet)
	if err != nil {
		return fmt.Errorf("take the network's channel: %w", err)
	}
	defer channel.Close() // the helper has its own descriptor
	h, conn, err := startNet(r.network.mac, r.network.ipv6, confine.Rung(r.launch.Confinement), channel)
	if err != nil {
		return err
	}
	r.keep(&r.net, "net", h)
	server := broker.NewServer(egress.New(rules), &r.network.host)
	server.Denied = r.denied
	server.Counts = r.counted
	r.network.serves(server)
	go server.Serve(context.Background(), conn) // until the helper ends, which closes its end
	return nil
}

// denied counts a refusal, and says so in the instance's log and to who watches.
func (r *run) denied(network string, why *egress.Denied) {
	n := r.network
	n.mu.Lock()
	n.denied++
	told := n.denials.thin(network, why, time.Now())
	n.mu.Unlock()
	if told != nil {
		r.log.System(denialLine(told))
		r.broadcast(instance.Report{Denied: told})
	}
}

// counted takes the helper's counters; what they have grown by is activity. A stream that
// the host asked for is the router's to judge.
func (r *run) counted(now broker.Counts) {
	n := r.network
	n.mu.Lock()
	busy := now.Sent != n.counts.Sent || now.Received != n.counts.Received || now.Queries != n.counts.Queries
	n.counts = now
	n.mu.Unlock()
	if busy {
		r.broadcast(instance.Report{Traffic: true})
	}
}

// stats are nil when there is no network.
func (n *network) stats() *instance.NetStats {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return &instance.NetStats{Sent: n.counts.Sent + n.counts.Served + n.served.Load(), Received: n.counts.Received + n.counts.Asked + n.asked.Load(),
		Queries: n.counts.Queries, Dropped: n.counts.Dropped, Denied: n.denied}
}
