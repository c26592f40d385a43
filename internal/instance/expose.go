package instance

import (
	"net/netip"
	"strconv"
	"strings"

	"aegis/internal/fault"
)

// defaultIP is where exposed ports listen unless another address is asked for.
const defaultIP = "127.0.0.1"

// ParseExpose reads [[IP:]HOST:]GUEST[/http|/tcp], where ":http" and ":tcp" at the
// end mean the same as "/http" and "/tcp". An IPv6 address stands in brackets.
// Without HOST, Port.Host is 0: one is to be chosen. An error is a fault.Invalid.
func ParseExpose(text string) (Port, error) {
	p := Port{IP: defaultIP, Protocol: HTTP}
	rest := text
	for _, protocol := range []string{HTTP, TCP} {
		for _, mark := range []string{"/", ":"} {
			if cut, ok := strings.CutSuffix(rest, mark+protocol); ok && rest == text {
				rest, p.Protocol = cut, protocol
			}
		}
	}
	rest, guest, more := cutLast(rest)
	var err error
	if p.Guest, err = parsePort(text, guest); err != nil || !more {
		return p, err
	}
	rest, host, more := cutLast(rest)
	if p.Host, err = parsePort(text, host); err != nil || !more {
		return p, err
	}
	p.IP, err = parseIP(text, rest)
	return p, err
}

// cutLast splits at the last colon; without one all of it is last.
func cutLast(s string) (before, last string, found bool) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}

func parsePort(text, number string) (uint16, error) {
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || number[0] == '+' {
		return 0, badExpose(text, "%.40q is not a port from 1 to 65535", number)
	}
	return uint16(n), nil
}

func parseIP(text, address string) (string, error) {
	bare, bracketed := strings.CutPrefix(address, "[")
	if bracketed {
		bare, bracketed = strings.CutSuffix(bare, "]")
	}
	ip, err := netip.ParseAddr(bare)
	if err != nil || ip.Is6() != bracketed || ip.Zone() != "" {
		return "", badExpose(text, "%.60q is not an IP address (one of IPv6 stands in brackets)", address)
	}
	return ip.String(), nil
}

func badExpose(text, why string, args ...any) error {
	what := strconv.Quote(text[:min(len(text), 80)])
	return fault.New(fault.Invalid, text, "expose "+what, why, args...)
}
