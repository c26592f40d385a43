// Package netstack is the network of one guest: it takes Ethernet frames from a
// VM, ends the guest's connections in a network stack of its own, and joins each to
// a connection that somebody else made.
//
// Who calls it: the net helper of a shim, with the frame channel of its monitor. It
// parses what a hostile guest sends, so it never opens a socket, looks up a name or
// reads a file: a Dialer decides and dials, a Resolver answers questions. Each VM
// has a stack of its own, with the same addresses, and nothing of one leads to
// another.
//
// The other way, streams that the host is given for exposed ports arrive at the guest's
// loopback: see Arrival.
//
// Frames are a length (u32, big-endian) and an Ethernet frame without its check
// sequence, as QEMU's stream network device has them.
package netstack

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// The one plan of addresses. The ranges are as small as they can be, since what is in
// them can't be reached outside.
var (
	Guest4   = netip.MustParsePrefix("10.211.212.2/30")
	Gateway4 = netip.MustParseAddr("10.211.212.1")
	Guest6   = netip.MustParsePrefix("fd61:6567:6973::2/126")
	Gateway6 = netip.MustParseAddr("fd61:6567:6973::1")
)

// MTU is of the guest's device, in bytes without the Ethernet header: the largest
// that an IPv4 packet and QEMU's buffers allow, since each frame costs the same.
const MTU = 65520

// GatewayMAC is the address of the other end of the guest's link.
var GatewayMAC = net.HardwareAddr{0x02, 0x61, 0x65, 0x67, 0x69, 0x01}

// Networks of a dial.
const (
	TCP  = "tcp"
	UDP  = "udp"
	ICMP = "icmp" // an unprivileged socket for echo requests; the port is 0
)

// Dialer makes the host's half of a connection. An error of any kind is a refusal:
// the guest gets a reset. It is called by many goroutines at once and must bound
// how long it takes.
type Dialer interface {
	Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// Resolver answers a DNS question with a whole packed message, of which the ID does
// not count. It must bound how long it takes.
type Resolver interface {
	Resolve(ctx context.Context, name string, qtype uint16) ([]byte, error)
}

// Config is one guest's network.
type Config struct {
	MAC      net.HardwareAddr // the guest's; frames from another are dropped
	IPv6     bool             // the guest has an address of it
	Dialer   Dialer
	Resolver Resolver
	Counters *Counters      // may be nil
	Arrivals <-chan Arrival // streams to the guest; may be nil
}

// Counters are of payload: what TCP and UDP carried, without headers, neighbour
// discovery or repetitions.
type Counters struct {
	Sent     atomic.Uint64 // bytes from the guest
	Received atomic.Uint64 // bytes to the guest
	Served   atomic.Uint64 // bytes from the guest over streams of the host's (Arrival)
	Asked    atomic.Uint64 // bytes to the guest over these
	Queries  atomic.Uint64 // DNS questions
	Dropped  atomic.Uint64 // frames that were not the guest's to send, and connections beyond the caps
}

// MemoryLimit is what the runtime of a process with one guest's network should collect
// for rather than pass (runtime/debug.SetMemoryLimit), in bytes: below the 128 MiB that
// such a process may have, above what the caps add up to.
const MemoryLimit = 100 << 20

// Caps of one guest. Its memory follows from them, in MiB: 29 of the larger rooms and 11 of
// the small ones, 20 of goroutines and endpoints, 8 each of datagrams on their way
// to the guest, of fragments, of DNS answers. TestMemory measures it.
const (
	maxPending   = 256  // TCP connections that are being made; a flood of SYNs beyond them is dropped
	maxTCP       = 1024 // TCP connections
	maxIngress   = 512  // streams to the guest
	maxUDP       = 512  // UDP flows
	maxQueries   = 64   // DNS questions at once
	maxDNSTCP    = 16   // TCP connections for DNS
	maxPings     = 32   // echo destinations
	maxQueue     = 512  // frames that wait for the guest to read; what comes after is lost, as on a wire
	maxDatagrams = 128  // of those, before datagrams that others send are lost

	firstReceive = 16 << 10 // bytes, of a TCP connection that is being made: half of it, a request, needs no other announcement
	udpReceive   = 16 << 10 // of a UDP flow, and one datagram more

	udpIdle  = 60 * time.Second
	udpFirst = 20 * time.Second // until the first answer
	pingIdle = 10 * time.Second
	dnsIdle  = 10 * time.Second
)
