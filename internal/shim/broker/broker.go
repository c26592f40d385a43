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
}

// Counts are what a guest's network has carried since it began.
type Counts struct {
	Sent     uint64 `json:"sent"`     // bytes of payload from the guest
	Received uint64 `json:"received"` // bytes of payload to it
	Queries  uint64 `json:"queries"`  // DNS questions
	Dropped  uint64 `json:"dropped"`  // frames that were not its to send, and what was beyond the caps
}

// Limits, of messages in bytes.
const (
	maxRequest = 4 << 10
	maxAnswer  = 65535 // a DNS message
	maxReply   = 2*maxAnswer + 1<<10

	maxPending  = 512              // requests of one guest that are being answered
	perSecond   = 500              // requests of one guest
	burst       = 1000             // that may come at once
	dialTimeout = 30 * time.Second // of a connection; the guest's own patience is longer
	askTimeout  = 15 * time.Second
)
