//go:build linux

package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

// The kernel looks at rules by their number, and has the table of what is local at 0.
// Ours must come before it, so that moves.
const (
	ingressTable = 211
	ingressRule  = 1
	localRule    = 2
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// letIn has the kernel take the host's streams to exposed ports as if they came from
// this machine's loopback: what comes over the device from 127.0.0.1 is taken, and what
// an exposed port answers to one of the host's ports goes back there. All else that
// is between processes of this machine stays in it.
func (n *netlink) letIn(index int, gateway netip.Addr, in *wire.Ingress) error {
	// To look for the gateway by an address that is not the loopback's is arp_announce.
	for _, set := range []string{"route_localnet=1", "arp_announce=2"} {
		key, value, _ := strings.Cut(set, "=")
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+device+"/"+key, []byte(value), 0); err != nil {
			return err
		}
	}
	// A process that asks for any port gets none of those.
	os.WriteFile("/proc/sys/net/ipv4/ip_local_reserved_ports", fmt.Appendf(nil, "%d-%d", in.First, in.Last), 0)
	if err := n.routeIn(ingressTable, index, gateway); err != nil {
		return fmt.Errorf("add route to the host's streams: %w", err)
	}
	for _, port := range in.Ports {
		if err := n.rule(unix.RTM_NEWRULE, ingressTable, ingressRule, answers(port, in)...); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add rule for port %d: %w", port, err)
		}
	}
	if err := n.rule(unix.RTM_NEWRULE, unix.RT_TABLE_LOCAL, localRule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add rule for what is local: %w", err)
	}
	if err := n.rule(unix.RTM_DELRULE, unix.RT_TABLE_LOCAL, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("move rule for what is local: %w", err)
	}
	return nil
}

// letOut undoes letIn for its ports.
func (n *netlink) letOut(in *wire.Ingress) error {
	for _, port := range in.Ports {
		if err := n.rule(unix.RTM_DELRULE, ingressTable, ingressRule, answers(port, in)...); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove rule for port %d: %w", port, err)
		}
	}
	return nil
}

// answers selects what a port of the loopback sends to the host's.
func answers(port uint16, in *wire.Ingress) [][]byte {
	return [][]byte{
		attr(unix.FRA_DST, loopback.AsSlice()), attr(unix.FRA_IP_PROTO, []byte{unix.IPPROTO_TCP}),
		attr(unix.FRA_SPORT_RANGE, portRange(port, port)), attr(unix.FRA_DPORT_RANGE, portRange(in.First, in.Last)),
	}
}

func portRange(first, last uint16) []byte {
	return binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, first), last)
}

// rule adds or removes a rule that leads to a table (fib_rule_hdr of linux/fib_rules.h).
func (n *netlink) rule(kind uint16, table byte, number int, which ...[]byte) error {
	bits := byte(0)
	if len(which) > 0 {
		bits = 32 // the one address
	}
	head := []byte{unix.AF_INET, bits, 0, 0, table, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	flags := uint16(0)
	if kind == unix.RTM_NEWRULE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	return n.send(kind, flags, append([][]byte{head, attr(unix.FRA_PRIORITY, u32(number))}, which...)...)
}
