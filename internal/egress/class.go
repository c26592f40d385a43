package egress

import (
	"net/netip"
	"slices"
)

// Class is what kind of address it is. The words are in log lines.
type Class string

// The classes, of which only Public is reached by default.
const (
	Public        Class = "public"
	Private       Class = "private"       // RFC 1918, and ULA of RFC 4193
	Shared        Class = "shared"        // carrier-grade NAT, RFC 6598
	LinkLocal     Class = "link-local"    // RFC 3927, RFC 4291
	Loopback      Class = "loopback"      // RFC 1122, RFC 4291
	Metadata      Class = "metadata"      // of a cloud, wherever the address lies
	Multicast     Class = "multicast"     // RFC 5771, RFC 4291
	Documentation Class = "documentation" // RFC 5737, RFC 3849, RFC 9637
	Reserved      Class = "reserved"      // the special-purpose registries of IANA
	Translated    Class = "translated"    // an IPv4 address in an IPv6 one
	Own           Class = "host"          // an address of this host, now
)

// row is one line of the table. The first row that holds an address counts.
type row struct {
	prefix string
	class  Class
}

// table is IANA's special-purpose registries for IPv4 and IPv6, and the addresses
// at which clouds serve credentials to whoever asks.
var table = compile([]row{
	{"169.254.169.254/32", Metadata}, // AWS, Google, Azure, Oracle and most others
	{"169.254.170.2/32", Metadata},   // AWS, credentials of containers
	{"169.254.170.23/32", Metadata},  // AWS, credentials of pods
	{"100.100.100.200/32", Metadata}, // Alibaba
	{"168.63.129.16/32", Metadata},   // Azure's host agent
	{"192.0.0.192/32", Metadata},     // Oracle, old
	{"fd00:ec2::254/128", Metadata},  // AWS
	{"fd00:ec2::23/128", Metadata},   // AWS, credentials of pods
	{"fd20:ce::254/128", Metadata},   // Google

	{"0.0.0.0/8", Reserved},
	{"10.0.0.0/8", Private},
	{"100.64.0.0/10", Shared},
	{"127.0.0.0/8", Loopback},
	{"169.254.0.0/16", LinkLocal},
	{"172.16.0.0/12", Private},
	{"192.0.0.0/24", Reserved},
	{"192.0.2.0/24", Documentation},
	{"192.88.99.0/24", Reserved}, // relays of 6to4
	{"192.168.0.0/16", Private},
	{"198.18.0.0/15", Reserved}, // benchmarks
	{"198.51.100.0/24", Documentation},
	{"203.0.113.0/24", Documentation},
	{"224.0.0.0/4", Multicast},
	{"240.0.0.0/4", Reserved}, // broadcast too

	{"::1/128", Loopback},
	{"::/128", Reserved},
	{"::/96", Translated},           // IPv4-compatible
	{"::ffff:0:0/96", Translated},   // IPv4-mapped
	{"::ffff:0:0:0/96", Translated}, // IPv4-translated, RFC 2765
	{"64:ff9b::/96", Translated},    // NAT64
	{"64:ff9b:1::/48", Translated},  // NAT64, local
	{"2001::/32", Translated},       // Teredo
	{"2001:db8::/32", Documentation},
	{"2001::/23", Reserved},
	{"2002::/16", Translated}, // 6to4
	{"3fff::/20", Documentation},
	{"fc00::/7", Private},
	{"fe80::/10", LinkLocal},
	{"ff00::/8", Multicast},
	{"2000::/3", Public},
	{"::/0", Reserved}, // all that was never given out
})

type compiled struct {
	prefix netip.Prefix
	class  Class
}

func compile(rows []row) []compiled {
	out := make([]compiled, len(rows))
	for i, r := range rows {
		out[i] = compiled{netip.MustParsePrefix(r.prefix), r.class}
	}
	return out
}

// whole is the class that a whole range has, or empty when its addresses have several.
func whole(p netip.Prefix) Class {
	for _, t := range table {
		switch {
		case t.prefix.Bits() <= p.Bits() && t.prefix.Contains(p.Addr()):
			return t.class
		case t.prefix.Overlaps(p) && !slices.Contains(never, t.class):
			return ""
		}
	}
	return ""
}

// Classify says what kind of address it is, but for Own, which only the host
// knows. An IPv4 address inside an IPv6 one is Translated whatever it is: a
// guest has no need of these forms. A zone makes it LinkLocal.
func Classify(a netip.Addr) Class {
	switch {
	case a.Zone() != "":
		return LinkLocal
	case !a.IsValid():
		return Reserved
	}
	for _, t := range table {
		if t.prefix.Contains(a) {
			return t.class
		}
	}
	return Public
}
