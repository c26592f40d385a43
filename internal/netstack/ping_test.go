package netstack

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// echoRequest is a frame with ICMP's or ICMPv6's.
func echoRequest(to netip.Addr, id, seq uint16, payload string) []byte {
	kind, proto, from := byte(8), byte(protoICMP), Guest4.Addr()
	if to.Is6() {
		kind, proto, from = 128, protoICMPv6, Guest6.Addr()
	}
	icmp := []byte{kind, 0, 0, 0}
	icmp = binary.BigEndian.AppendUint16(icmp, id)
	icmp = append(binary.BigEndian.AppendUint16(icmp, seq), payload...)
	frame := append(append([]byte(nil), GatewayMAC...), guestMAC...)
	if to.Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(icmp)))
		copy(ip[12:], from.AsSlice())
		copy(ip[16:], to.AsSlice())
		frame = append(binary.BigEndian.AppendUint16(frame, typeIPv4), ip...)
	} else {
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(icmp)))
		copy(ip[8:], from.AsSlice())
		copy(ip[24:], to.AsSlice())
		frame = append(binary.BigEndian.AppendUint16(frame, typeIPv6), ip...)
	}
	return append(frame, icmp...)
}

// pong answers as a host's ping socket does: with an identifier of its own.
func pong(c net.Conn) {
	buf := make([]byte, 2000)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	buf[0] = map[byte]byte{8: 0, 128: 129}[buf[0]]
	buf[4], buf[5] = 0xaa, 0xbb
	c.Write(buf[:n])
}

func TestPing(t *testing.T) {
	wire, _ := plug(t, world(map[string]func(net.Conn){"icmp 1.2.3.4:0": pong, "icmp [2606::1]:0": pong}))
	wire.SetReadDeadline(time.Now().Add(patience))
	frames := newFrameReader(wire)
	for _, to := range []netip.Addr{netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("2606::1")} {
		request := echoRequest(to, 0x1234, 7, "are you there")
		put(wire, request)
		frame, err := frames.next()
		if err != nil {
			t.Fatal(err)
		}
		size, pseudo, kind := 20, uint16(0), byte(0)
		packet := frame[ethernetHeader:]
		if to.Is6() {
			size, kind = 40, 129
			pseudo = checksum.Checksum(packet[8:40], uint16(len(packet)-40)+protoICMPv6)
		} else if checksum.Checksum(packet[:20], 0) != 0xffff {
			t.Errorf("%s: a wrong IP checksum", to)
		}
		icmp := packet[size:]
		if icmp[0] != kind || !bytes.Equal(icmp[4:], request[ethernetHeader+size+4:]) || checksum.Checksum(icmp, pseudo) != 0xffff {
			t.Errorf("%s: %x", to, icmp)
		}
		if !bytes.Equal(frame[:6], guestMAC) || !bytes.Contains(packet[:size], to.AsSlice()) {
			t.Errorf("%s: %x", to, frame)
		}
	}
	put(wire, echoRequest(netip.MustParseAddr("10.0.0.1"), 1, 1, "denied")) // and so lost
	put(wire, echoRequest(netip.MustParseAddr("1.2.3.4"), 1, 2, "second"))
	if frame, err := frames.next(); err != nil || !bytes.HasSuffix(frame, []byte("second")) {
		t.Errorf("%x, %v", frame, err)
	}
}
