package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Denied is a refusal. Its text is a line of the instance's log.
type Denied struct {
	Target string // address or name
	Class  Class  // of an address; empty for a name
	Why    string
}

func (d *Denied) Error() string {
	if d.Class == "" {
		return fmt.Sprintf("%s: %s", d.Target, d.Why)
	}
	return fmt.Sprintf("%s (%s): %s", d.Target, d.Class, d.Why)
}

// Policy applies rules. Its methods may be called by several goroutines at once.
type Policy struct {
	rules  Rules
	leases leases
}

// New makes the policy of one VM.
func New(rules Rules) *Policy { return &Policy{rules: rules} }

// never are the classes that no rule opens. What is the host's own, or reaches
// what only it may, is among them.
var never = []Class{Loopback, Metadata, LinkLocal, Multicast, Translated, Own}

// Address decides about an address that is about to be dialled; own says that it is
// the host's at this moment. It returns nil or a *Denied.
func (p *Policy) Address(to netip.Addr, own bool, now time.Time) error {
	class := Classify(to)
	if own {
		class = Own
	}
	deny := func(why string) error { return &Denied{to.String(), class, why} }
	switch {
	case p.rules.Mode == ModeNone:
		return deny("the network is none")
	case slices.Contains(never, class):
		return deny("no instance may reach it")
	case slices.ContainsFunc(p.rules.CIDRs, func(c netip.Prefix) bool { return c.Contains(to) }):
		return nil
	case !p.opens(class):
		return deny("the network is " + p.rules.Mode)
	case p.rules.listed() && !p.leases.holds(to, now):
		return deny("it is not on the allow-list")
	}
	return nil
}

// opens reports whether the mode by itself reaches a class.
func (p *Policy) opens(class Class) bool {
	return class == Public || p.rules.Mode == ModeLAN && (class == Private || class == Shared)
}

// Name decides about a name that the guest asks for; it returns nil or a *Denied.
// With an allow-list only its hosts are resolved, since a question can carry data
// out.
func (p *Policy) Name(name string) error {
	name = canonical(name)
	switch {
	case p.rules.Mode == ModeNone:
		return &Denied{Target: show(name), Why: "the network is none"}
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return &Denied{Target: show(name), Why: "no instance may ask for it"}
	case !p.rules.listed():
		return nil
	case slices.ContainsFunc(p.rules.Hosts, func(h string) bool { return match(h, name) }):
		return nil
	}
	return &Denied{Target: show(name), Why: "it is not on the allow-list"}
}

// show is a name of the guest's as a log may hold it.
func show(name string) string {
	if validName(name) {
		return name
	}
	return fmt.Sprintf("%.120q", name)
}

// Resolved lets the guest dial what an allowed name has resolved to, for as long as
// the answer may be cached, within bounds. Without an allow-list it does nothing.
func (p *Policy) Resolved(addrs []netip.Addr, ttl time.Duration, now time.Time) {
	if len(p.rules.Hosts) == 0 {
		return
	}
	until := now.Add(min(max(ttl, minLease), maxLease))
	for _, a := range addrs {
		p.leases.add(a, until, now)
	}
}
