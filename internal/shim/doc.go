// Package shim owns one run, the life of one VM: it boots the monitor, holds the
// guest link, writes the instance's log, and is the one source of its exit.
//
// Main is the process aegis-shim, started by the daemon through Spawn. It
// outlives the daemon: the next one finds it again at run/RUN/shim.sock with
// Connect. Monitor, helpers and shim share one fate: when one ends, all
// end, and exit.json in the run's directory says why.
//
// # Protocol
//
// Each operation is one connection to the socket, on which the daemon writes a
// request and the shim a reply (wire.WriteMessage). Then, by operation:
//
//	watch         reports, one message each, until the run ends
//	start, exec   frames both ways (package wire); a start that is not attached: nothing
//	dial          raw bytes both ways, each direction closed on its own: of the link, or
//	              of the guest's network, whose helper then has the connection
//	copy-in, -out frames of a tar stream (package wire)
//	others        nothing
//
// The shim parses what the guest sends, within wire's bounds, and passes frames
// on that it encoded itself; the daemon need not trust the guest.
package shim

import (
	"time"

	"aegis/internal/instance"
	"aegis/internal/wire"
)

type op string

const (
	opWatch   op = "watch"
	opStart   op = "start"
	opExec    op = "exec"
	opDial    op = "dial"
	opPause   op = "pause"
	opCopyIn  op = "copy-in"
	opCopyOut op = "copy-out"
	opResume  op = "resume"
	opStop    op = "stop"
	opKill    op = "kill"
	opStats   op = "stats"
)

// request opens an operation; the field that belongs to its Op is set.
type request struct {
	Op      op              `json:"op"`
	Boots   *instance.Boots `json:"boots,omitempty"`
	Exec    *wire.Process   `json:"exec,omitempty"`
	Dial    *wire.Dial      `json:"dial,omitempty"`
	CopyIn  *wire.CopyIn    `json:"copy_in,omitempty"`
	CopyOut *wire.CopyOut   `json:"copy_out,omitempty"`
	Stop    *stopRequest    `json:"stop,omitempty"`
}

// stopRequest ends the run: SIGTERM, Grace, SIGKILL.
type stopRequest struct {
	Grace  time.Duration `json:"grace_ns"`
	Reason string        `json:"reason"` // of instance.Exit
}

// reply answers a request.
type reply struct {
	Error  *wire.Error         `json:"error,omitempty"`
	Stages wire.Stages         `json:"stages,omitempty"`
	Status *instance.RunStatus `json:"status,omitempty"`
	Stats  *instance.RunStats  `json:"stats,omitempty"`
}

// maxMessage bounds a message on the shim's socket: a start carries an
// environment of up to wire.MaxRequest.
const maxMessage = wire.MaxRequest + 64<<10
