package netstack

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// verdict is what happens to a frame of the guest's.
type verdict int

const (
	drop verdict = iota
	pass         // to the stack
	echo         // an echo request to somebody outside
)

// Ethernet types and IP protocols.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoFrag6  = 44
	protoICMPv6 = 58
)

// filter lets through what this guest may send: from its own hardware address and
// its own protocol addresses.
type filter struct {
	mac  net.HardwareAddr
	ipv6 bool
}

func (f filter) judge(frame []byte) verdict {
	if len(frame) < ethernetHeader || !bytes.Equal(frame[6:12], f.mac) {
		return drop
	}
	packet := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case typeARP:
		return f.arp(packet)
	case typeIPv4:
		return judge4(packet)
	case typeIPv6:
		if f.ipv6 {
			return judge6(packet)
		}
	}
	return drop
}

// arp passes requests and answers that speak of the guest itself (RFC 826, for
// Ethernet and IPv4).
func (f filter) arp(p []byte) verdict {
	if len(p) < 28 || !bytes.Equal(p[8:14], f.mac) || !bytes.Equal(p[14:18], Guest4.Addr().AsSlice()) {
		return drop
	}
	return pass
}

// judge4 judges an IPv4 packet by RFC 791's header.
func judge4(p []byte) verdict {
	if len(p) < 20 || p[0]>>4 != 4 {
		return drop
	}
	header := int(p[0]&15) * 4
	whole := binary.BigEndian.Uint16(p[6:8])&0x3fff == 0 // no offset, no more fragments
	from, to := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	if from == loopback && to == loopback && p[9] == protoTCP && whole && len(p) >= header+20 {
		return answers(p[header:])
	}
	if from != Guest4.Addr() || to.IsLoopback() {
		return drop
	}
	switch p[9] {
	case protoUDP:
		return pass
	case protoTCP:
		if whole && len(p) >= header && !small(p[header:]) {
			return pass
		}
	case protoICMP:
		request := whole && header == 20 && len(p) >= header+8 && p[header] == 8
		switch {
		case request && to == Gateway4:
			return pass // and no errors: they would have the stack send small segments
		case request:
			return echo
		}
	}
	return drop
}

// loopback is the guest's own. From there it answers the host's streams.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// answers passes what belongs to a stream of the host's, and can't begin another.
func answers(tcp []byte) verdict {
	to, flags := binary.BigEndian.Uint16(tcp[2:4]), tcp[13]
	const syn, ack = 2, 16
	if to < FirstIngress || to > LastIngress || flags&(syn|ack) == syn || small(tcp) {
		return drop
	}
	return pass
}

// judge6 judges an IPv6 packet by RFC 8200's header. Extension headers but
// fragments have no use here.
func judge6(p []byte) verdict {
	if len(p) < 40 || p[0]>>4 != 6 {
		return drop
	}
	from, to := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	own := from == Guest6.Addr()
	switch p[6] {
	case protoTCP:
		if own && !small(p[40:]) {
			return pass
		}
	case protoUDP:
		if own {
			return pass
		}
	case protoFrag6:
		if own && len(p) >= 48 && p[40] == protoUDP {
			return pass
		}
	case protoICMPv6:
		neighbour := len(p) >= 48 && p[40] >= 135 && p[40] <= 136 // solicitation, advertisement
		request := own && !to.IsMulticast() && len(p) >= 48 && p[40] == 128
		switch {
		case neighbour && (own || from.IsLinkLocalUnicast()), request && to == Gateway6:
			return pass
		case request:
			return echo
		}
	}
	return drop
}

// leastSegment is the least payload that a guest may ask to have in each segment, in
// bytes (RFC 9293, 3.7.1: what everybody takes). A segment costs the stack some 600 bytes
// besides, of which a guest must not have thousands for a buffer.
const leastSegment = 536

// small tells a SYN that asks for segments smaller than that (RFC 9293, 3.2).
func small(tcp []byte) bool {
	if len(tcp) < 20 || tcp[13]&2 == 0 {
		return false
	}
	options := tcp[20:min(len(tcp), max(20, int(tcp[12]>>4)*4))]
	for len(options) > 0 && options[0] != 0 {
		if options[0] == 1 { // no operation, the one kind without a length
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return true // the stack might read it otherwise
		}
		if options[0] == 2 && (options[1] != 4 || binary.BigEndian.Uint16(options[2:]) < leastSegment) {
			return true
		}
		options = options[options[1]:]
	}
	return false
}
