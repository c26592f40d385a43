package netstack

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// greedy is a guest without a stack: it opens connections by hand, fills all that it
// may, acknowledges nothing, and reads only what it must.
type greedy struct {
	wire   net.Conn
	frames *frameReader
}

// packet is a frame with a packet to somewhere.
func packet(proto byte, l4 []byte) []byte {
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
	copy(ip[12:], Guest4.Addr().AsSlice())
	copy(ip[16:], somewhere.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip, 0))
	f := append(append([]byte(nil), GatewayMAC...), guestMAC...)
	f = binary.BigEndian.AppendUint16(f, typeIPv4)
	return append(append(f, ip...), l4...)
}

func tcpSegment(port uint16, seq, ack uint32, flags byte, data []byte) []byte {
	l4 := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(l4[0:], port)
	binary.BigEndian.PutUint16(l4[2:], 80)
	binary.BigEndian.PutUint32(l4[4:], seq)
	binary.BigEndian.PutUint32(l4[8:], ack)
	l4[12], l4[13] = 5<<4, flags
	binary.BigEndian.PutUint16(l4[14:], 65535)
	l4 = append(l4, data...)
	from, to := Guest4.Addr().As4(), somewhere.As4()
	pseudo := checksum.Checksum(to[:], checksum.Checksum(from[:], protoTCP+uint16(len(l4))))
	binary.BigEndian.PutUint16(l4[16:], ^checksum.Checksum(l4, pseudo))
	return packet(protoTCP, l4)
}

// connect opens all connections, and has each one's window full.
func (g *greedy) connect(t *testing.T) {
	for port := range uint16(maxTCP) {
		put(g.wire, tcpSegment(port+1, 1, 0, syn, nil))
		size := uint32(700)
		if port%2 == 0 {
			size = 1 // the dearest to keep
		}
		for {
			f, err := g.frames.next()
			if err != nil {
				t.Fatalf("wait for connection %d: %v", port, err)
			}
			if g.isAnswer(f) {
				g.fill(binary.BigEndian.Uint16(f[36:]), binary.BigEndian.Uint32(f[38:])+1, size)
				break
			}
		}
	}
}

// isAnswer tells a segment with SYN and ACK. It tells who asks where the guest is
// (RFC 826).
func (g *greedy) isAnswer(f []byte) bool {
	if len(f) >= 42 && f[13] == 6 && f[21] == 1 {
		reply := append(append(append([]byte(nil), f[6:12]...), guestMAC...), f[12:21]...)
		reply = append(append(append(reply, 2), guestMAC...), Guest4.Addr().AsSlice()...)
		put(g.wire, append(reply, f[22:32]...))
	}
	return len(f) >= 54 && f[23] == protoTCP && f[47] == 0x12
}

// fill sends what fits a window, first what is not its beginning.
func (g *greedy) fill(port uint16, ack, size uint32) {
	const window = 70_000
	put(g.wire, tcpSegment(port, 2, ack, 0x10, nil))
	for _, from := range []uint32{window / 2, 0} {
		for at := uint32(0); at < min(window/2, 200*size); at += size {
			put(g.wire, tcpSegment(port, 2+from+at, ack, 0x10, make([]byte, size)))
		}
	}
}

// flows sends each port's large datagrams.
func (g *greedy) flows() {
	for port := range maxUDP {
		l4 := make([]byte, 60_000)
		binary.BigEndian.PutUint16(l4, uint16(port+1))
		binary.BigEndian.PutUint16(l4[2:], 80)
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
		for range 3 {
			put(g.wire, packet(protoUDP, l4))
		}
	}
}

// fragments sends the first parts of packets without more.
func (g *greedy) fragments() {
	for id := range uint16(2000) {
		f := packet(protoUDP, make([]byte, 32<<10))
		ip := f[ethernetHeader : ethernetHeader+20]
		binary.BigEndian.PutUint16(ip[4:], id)
		ip[6] = 0x20 // more to come
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip, 0))
		put(g.wire, f)
	}
}

// last asks where the gateway is, until it says so: it has seen all before.
func (g *greedy) last() error {
	f := append(append([]byte(nil), GatewayMAC...), guestMAC...)
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, guestMAC...), Guest4.Addr().AsSlice()...)
	f = append(append(f, make([]byte, 6)...), Gateway4.AsSlice()...)
	var asked time.Time
	for {
		if time.Since(asked) > 50*time.Millisecond { // what is asked while the queue is full is lost
			asked = time.Now()
			put(g.wire, f)
		}
		got, err := g.frames.next()
		if err != nil {
			return err
		}
		if len(got) >= 42 && got[13] == 6 && got[21] == 2 {
			return nil
		}
	}
}
