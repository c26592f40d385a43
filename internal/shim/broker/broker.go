// Package broker is what lies between a VM's network and the host's: the shim
// decides what the guest may reach, dials it and hands the connected socket to the
// net helper, which so needs no socket, name server or file of its own.
//
// Who calls it: the shim serves, the helper is the client, over one pair of unix
// sockets. The helper parses what the guest sends and may have been taken over by
// it: a Server trusts no length, count or order of a Client's, takes no descriptor
// from it, and decides about each address itself. It never passes on a socket that
// the policy refuses.
//
// # Protocol
//
// Messages of package wire, requests one way and replies the other, in any order,
// matched by ID. A reply that passes a socket has it as ancillary data (SCM_RIGHTS)
// of its first byte. Counts have no reply.
//
// The other way the shim asks the helper to join a stream to a port of the guest. That
// is a reply to nothing, whose socket is the stream; the answer is a joined.
package broker

import (
	"net/netip"
	"time"
)

// request is from the helper. One of the fields but ID is set.
type request struct {
	ID     uint32    `json:"id"`
	Dial   *dial     `json:"dial,omitempty"`
	Ask    *question `json:"ask,omitempty"`
	Counts *Counts   `json:"counts,omitempty"`
	Joined *joined   `json:"joined,omitempty"`
}

// joined answers a join of that ID.
type joined struct {
	ID         uint32 `json:"id"`
	Error      string `json:"error,omitempty"`
	Unanswered bool   `json:"unanswered,omitempty"` // by the guest
}

type dial struct {
	Network string         `json:"network"` // tcp, udp or icmp
	To      netip.AddrPort `json:"to"`
}

type question struct {
	Name string `json:"name"`
	Type uint16 `json:"type"`
}

// reply answers the request of that ID.
type reply struct {
	ID     uint32 `json:"id"`
	Error  string `json:"error,omitempty"`
	Passed bool   `json:"passed,omitempty"` // a socket comes with it
	Answer []byte `json:"answer,omitempty"` // a packed DNS message
	Join   *join  `json:"join,omitempty"`   // no reply: the shim asks, and the socket is the stream
}

// join asks the helper to carry a stream to a port of the guest's loopback.
type join struct {
	ID       uint32 `json:"id"`
	Port     uint16 `json:"port"`
	Greeting []byte `json:"greeting,omitempty"` // for the stream, once the guest has answered
}

// Counts are what a guest's network has carried since it began.
type Counts struct {
	Sent     uint64 `json:"sent"`     // bytes of payload from the guest
	Received uint64 `json:"received"` // bytes of payload to it
	Served   uint64 `json:"served"`   // bytes of payload from it over streams that the host asked for (join)
	Asked    uint64 `json:"asked"`    // bytes of payload to it over these
	Queries  uint64 `json:"queries"`  // DNS questions
	Dropped  uint64 `json:"dropped"`  // frames that were not its to send, and what was beyond the caps
}

// Limits, of messages in bytes.
const (
	maxRequest = 4 << 10
	maxAnswer  = 65535 // a DNS message
	maxReply   = 2*maxAnswer + 1<<10

	maxPending   = 512              // requests of one guest that are being answered
	perSecond    = 500              // requests of one guest
	burst        = 1000             // that may come at once
	dialTimeout  = 30 * time.Second // of a connection; the guest's own patience is longer
	writeTimeout = 30 * time.Second // of a message; a helper reads at once, unless it was taken over
	askTimeout   = 15 * time.Second
)
