package netstack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// pingSize bounds the payload of an echo request, in bytes: a socket takes no more
// than a packet.
const pingSize = 8 << 10

// ping carries an echo request out, by a socket that is dialled for it, and the reply
// back. Requests that the host doesn't allow are lost, as on a network that filters.
func (n *network) ping(frame []byte) {
	request := append([]byte(nil), frame...)
	if len(request) > pingSize || !n.pings.take() {
		n.cfg.Counters.Dropped.Add(1)
		return
	}
	go func() {
		defer n.pings.give()
		e := parseEcho(request)
		host, err := n.dial(ICMP, netip.AddrPortFrom(e.to, 0))
		if err != nil {
			return
		}
		defer host.Close()
		host.SetDeadline(time.Now().Add(pingIdle))
		if _, err := host.Write(e.message); err != nil {
			return
		}
		reply := make([]byte, pingSize)
		for {
			size, err := host.Read(reply)
			if err != nil {
				return
			}
			if answer := e.reply(reply[:size]); answer != nil {
				n.emit(answer)
				return
			}
		}
	}()
}

// echoed is an echo request of the guest's.
type echoed struct {
	frame   []byte
	ip      int // size of the IP header
	to      netip.Addr
	message []byte // ICMP's
}

// parseEcho reads a frame that the filter called an echo request.
func parseEcho(frame []byte) echoed {
	packet := frame[ethernetHeader:]
	if packet[0]>>4 == 4 {
		end := min(max(int(binary.BigEndian.Uint16(packet[2:4])), 28), len(packet))
		return echoed{frame, 20, netip.AddrFrom4([4]byte(packet[16:20])), packet[20:end]}
	}
	end := min(max(40+int(binary.BigEndian.Uint16(packet[4:6])), 48), len(packet))
	return echoed{frame, 40, netip.AddrFrom16([16]byte(packet[24:40])), packet[40:end]}
}

// reply is the frame for an answer of the host's socket, or nil when it answers
// something else. The socket changed the identifier, which the guest must find again.
func (e echoed) reply(message []byte) []byte {
	want := byte(0) // echo reply of ICMP; ICMPv6 has 129
	if e.ip == 40 {
		want = 129
	}
	if len(message) < 8 || message[0] != want || [2]byte(message[6:8]) != [2]byte(e.message[6:8]) {
		return nil
	}
	out := make([]byte, ethernetHeader+e.ip, ethernetHeader+e.ip+len(message))
	copy(out, e.frame[:ethernetHeader+e.ip])
	copy(out[0:6], e.frame[6:12])
	copy(out[6:12], GatewayMAC)
	out = append(out, message...)
	icmp := out[ethernetHeader+e.ip:]
	copy(icmp[4:6], e.message[4:6])
	copy(icmp[2:4], []byte{0, 0})
	ip := out[ethernetHeader : ethernetHeader+e.ip]
	if e.ip == 20 {
		copy(ip[12:16], e.frame[ethernetHeader+16:ethernetHeader+20])
		copy(ip[16:20], e.frame[ethernetHeader+12:ethernetHeader+16])
		binary.BigEndian.PutUint16(ip[2:4], uint16(20+len(icmp)))
		copy(ip[6:8], []byte{0, 0})
		ip[8] = 64
		copy(ip[10:12], []byte{0, 0})
		binary.BigEndian.PutUint16(ip[10:12], ^checksum.Checksum(ip, 0))
		binary.BigEndian.PutUint16(icmp[2:4], ^checksum.Checksum(icmp, 0))
		return out
	}
	copy(ip[8:24], e.frame[ethernetHeader+24:ethernetHeader+40])
	copy(ip[24:40], e.frame[ethernetHeader+8:ethernetHeader+24])
	binary.BigEndian.PutUint16(ip[4:6], uint16(len(icmp)))
	ip[7] = 64
	pseudo := checksum.Checksum(ip[8:40], uint16(len(icmp))+protoICMPv6)
	binary.BigEndian.PutUint16(icmp[2:4], ^checksum.Checksum(icmp, pseudo))
	return out
}
