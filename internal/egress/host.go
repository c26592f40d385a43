package egress

import (
	"net/netip"
	"strings"
)

// Bounds of a name, in bytes (RFC 1035, 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// parseHost is a pattern in its canonical form, or why it is none.
func parseHost(text string) (host, why string) {
	host = canonical(text)
	name := strings.TrimPrefix(host, "*.")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return "", "is an address, which --allow-cidr takes"
	}
	if !validName(name) {
		return "", "is no host name, nor *. and one"
	}
	return host, ""
}

// canonical is a name as it is compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// validName holds for ASCII host names, underscores included since service names have them.
func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// match reports whether a canonical name is meant by a pattern.
func match(pattern, name string) bool {
	if below, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(name) > len(below) && strings.HasSuffix(name, below)
	}
	return pattern == name
}
