package broker

import (
	"net"
	"net/netip"
)

// own reports whether an address is of one of the host's interfaces at this moment.
func own(to netip.Addr) (bool, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, n := range nets {
		if p, ok := n.(*net.IPNet); ok && p.IP.Equal(to.AsSlice()) {
			return true, nil
		}
	}
	return false, nil
}
