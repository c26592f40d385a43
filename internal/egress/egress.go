// Package egress decides what a guest may reach. It is pure: no sockets, no
// look-ups, no clock of its own. Every decision is on the address that is about to
// be dialled, after names were resolved, so a name that changes its address gains
// nothing.
//
// Who calls it: the engine to check what a user wrote, and the shim, which dials
// for the guest. It never talks to the guest.
package egress

import (
	"net/netip"
	"slices"
	"strings"

	"aegis/internal/fault"
)

// The words of --net.
const (
	ModePublic = "public" // public addresses
	ModeLAN    = "lan"    // private and shared ranges too
	ModeNone   = "none"   // no network at all
)

// Modes are the words of --net, the default first.
var Modes = []string{ModePublic, ModeLAN, ModeNone}

// maxRules bounds each of the two lists.
const maxRules = 256

// Rules are what a user asked for. Hosts and CIDRs, when either is there, are all
// that the guest may reach.
type Rules struct {
	Mode  string
	Hosts []string // lower case, without the last dot; *.NAME is all below NAME
	CIDRs []netip.Prefix
}

// Parse checks what a user wrote. A kind of error is fault.Invalid.
func Parse(mode string, hosts, cidrs []string) (Rules, error) {
	r := Rules{Mode: mode}
	const what = "check the network"
	switch {
	case mode != ModePublic && mode != ModeLAN && mode != ModeNone:
		return r, fault.New(fault.Invalid, "net", what, "%.40q is no network: %s", mode, strings.Join(Modes, ", "))
	case mode == ModeNone && len(hosts)+len(cidrs) > 0:
		return r, fault.New(fault.Invalid, "net", what, "an allow-list needs a network, and this one is none")
	case len(hosts) > maxRules || len(cidrs) > maxRules:
		return r, fault.New(fault.Invalid, "net", what, "an allow-list has at most %d hosts and %d ranges", maxRules, maxRules)
	}
	for _, text := range hosts {
		host, why := parseHost(text)
		if why != "" {
			return r, fault.New(fault.Invalid, "allow-host", what, "host %.80q %s", text, why)
		}
		r.Hosts = append(r.Hosts, host)
	}
	for _, text := range cidrs {
		cidr, err := parseCIDR(text)
		if err != nil {
			return r, fault.New(fault.Invalid, "allow-cidr", what, "%.80q is no range of addresses like 203.0.113.0/24", text)
		}
		if class := whole(cidr); slices.Contains(never, class) {
			return r, fault.New(fault.Invalid, "allow-cidr", what, "%s is %s, which no instance may reach", cidr, class)
		}
		r.CIDRs = append(r.CIDRs, cidr)
	}
	return r, nil
}

// parseCIDR takes a range or a single address.
func parseCIDR(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// listed reports whether the rules are an allow-list.
func (r Rules) listed() bool { return len(r.Hosts)+len(r.CIDRs) > 0 }
