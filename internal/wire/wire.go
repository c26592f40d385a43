// Package wire is the protocol between host and guest, and, with the same
// framing, between aegisd and a shim. It is pure: no goroutines, no I/O of its
// own, only encoding to an io.Writer and decoding from an io.Reader.
//
// # Link
//
// The control channel is a raw byte stream. The guest speaks first: it writes a
// Hello, the host answers with a Hello, and each refuses a Major that is newer
// than its own. Then both run a yamux session over the stream, the host as
// client. The host opens one stream for each operation; the guest opens none.
//
// The host's Hello may carry a Prepare instead. The guest carries it out, writes a
// Reply, and waits for the host's next Hello, with nothing in flight: here a template
// is made, and here each VM that is restored from it goes on. So there the host speaks
// first, and the guest's Hello is the answer.
//
// # Operation
//
// The host writes a Request, the guest one Reply, both as length-prefixed JSON
// (WriteMessage). What follows depends on the operation:
//
//	start, exec   frames both ways, until Exit (see FrameType)
//	rehearse      the same, and behind Exit a Reply: all is undone
//	dial          raw bytes both ways, each direction closed on its own
//	watch         GuestEvents from the guest, an EventReply to each, until the VM ends
//	copy-in       frames of a tar stream from the host, FrameCopied from the guest
//	copy-out      frames of a tar stream and FrameCopied from the guest
//	others        nothing
//
// An operation is cancelled by resetting its stream. A peer never trusts a
// length, a count or an order that the other side sends: all are bounded here.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"aegis/internal/fault"
)

// Version of the protocol. A newer Minor may add fields and operations; unknown
// ones are refused by the receiver with a Reply, not by ending the link.
const (
	Major = 1
	Minor = 5
)

// Limits, in bytes. What comes from the guest has the narrow one.
const (
	MaxRequest = 1 << 20  // a Request, host to guest: environment included
	MaxReply   = 64 << 10 // a Reply or Hello, either way
	MaxFrame   = 64 << 10 // the payload of one frame
)

// Hello opens the link.
type Hello struct {
	Major   int      `json:"major"`
	Minor   int      `json:"minor"`
	Version string   `json:"version"`           // of the program, for messages only
	Prepare *Prepare `json:"prepare,omitempty"` // the host's alone: get ready for a template first
}

// Check refuses a peer that speaks a newer major version.
func (h Hello) Check() error {
	if h.Major < 1 || h.Major > Major {
		return fault.New(fault.Version, "", "open guest link",
			"the other side speaks protocol %d.%d (version %.40q), this side up to %d.x", h.Major, h.Minor, h.Version, Major)
	}
	return nil
}

// Op names an operation.
type Op string

// The operations of a guest. Those from Exec on, but Clock, need a Start before them.
const (
	OpStart    Op = "start"    // make this VM the instance and run its command; once
	OpRehearse Op = "rehearse" // do as start to the end of the command, and undo it; before the start
	OpMount    Op = "mount"    // do what of the start can be done ahead of it
	OpUnmount  Op = "unmount"  // the disk of mount is not in use any more
	OpExec     Op = "exec"     // run one more process
	OpDial     Op = "dial"     // connect to a TCP port of the guest's loopback
	OpStats    Op = "stats"    // read counters
	OpSync     Op = "sync"     // write everything to the disks
	OpShutdown Op = "shutdown" // SIGTERM, wait, SIGKILL, unmount, then the VM ends
	OpClock    Op = "clock"    // set the wall clock, after a pause
	OpWatch    Op = "watch"    // hear what the guest asks for
	OpCopyIn   Op = "copy-in"  // put files into the root
	OpCopyOut  Op = "copy-out" // get files out of it
)

// Request opens an operation. Just the field that belongs to Op is set.
type Request struct {
	Op       Op        `json:"op"`
	Start    *Start    `json:"start,omitempty"` // of start and rehearse
	Mount    *Ahead    `json:"mount,omitempty"`
	Exec     *Process  `json:"exec,omitempty"`
	Dial     *Dial     `json:"dial,omitempty"`
	Shutdown *Shutdown `json:"shutdown,omitempty"`
	Clock    *Clock    `json:"clock,omitempty"`
	CopyIn   *CopyIn   `json:"copy_in,omitempty"`
	CopyOut  *CopyOut  `json:"copy_out,omitempty"`
}

// Process is one program to run. It is found on PATH of its environment, as
// execvp(3) does, in the instance's root.
type Process struct {
	ID   string            `json:"id"` // "main" or the exec's ID; unique in this VM
	Args []string          `json:"args"`
	Env  map[string]string `json:"env,omitempty"` // over BaseEnv
	Dir  string            `json:"dir"`           // empty: the start's directory, else "/"
	User string            `json:"user"`          // name, uid, name:group, uid:gid; empty: root
	TTY  bool              `json:"tty"`
	Rows uint16            `json:"rows,omitempty"`
	Cols uint16            `json:"cols,omitempty"`

	// NoStdin is that its input is empty from the beginning: no frame of stdin comes, and
	// none may. The frame that would say so costs the guest more than all else about an
	// input. With a TTY it counts for nothing: a terminal's input ends by what is typed.
	NoStdin bool `json:"no_stdin,omitempty"`
}

// MainID is the Process.ID of an instance's own command.
const MainID = "main"

// Dial asks for a TCP connection to 127.0.0.1:Port, or [::1]:Port, whichever answers.
// While the port refuses, the guest tries again for Wait, so that an app that is
// still starting is reached as soon as it listens.
type Dial struct {
	Port uint16        `json:"port"`
	Wait time.Duration `json:"wait_ns"`
}

// Shutdown ends the VM. After Grace the processes that are left get SIGKILL. With Discard
// nobody will read the disk again: what is still to be written to it is lost. The workspace
// is whole in any case.
type Shutdown struct {
	Grace   time.Duration `json:"grace_ns"`
	Discard bool          `json:"discard,omitempty"`
}

// Clock is the host's wall clock, in nanoseconds since 1970 (UTC).
type Clock struct {
	UnixNano int64 `json:"unix_nano"`
}

// Reply answers a Request. Error is empty on success.
type Reply struct {
	Error  *Error `json:"error,omitempty"`
	Stats  *Stats `json:"stats,omitempty"`
	Stages Stages `json:"stages,omitempty"` // of start: how long each step took
	// Ingress, of start: streams may come over the network as Network.Ingress says.
	Ingress bool `json:"ingress,omitempty"`
}

// Error is a refusal that the guest reports. Kind is one of fault's; the host
// maps an unknown one to Internal.
type Error struct {
	Kind fault.Kind `json:"kind"`
	Why  string     `json:"why"`
}

// Stages are named durations, in nanoseconds.
type Stages map[string]time.Duration

// Stats are the guest's own counters.
type Stats struct {
	Uptime      time.Duration `json:"uptime_ns"`
	CPU         time.Duration `json:"cpu_ns"`       // all processors, without idle and iowait (proc(5), /proc/stat)
	MemoryTotal int64         `json:"memory_total"` // bytes
	MemoryUsed  int64         `json:"memory_used"`  // MemTotal - MemAvailable
	Processes   int           `json:"processes"`
	DiskTotal   int64         `json:"disk_total"` // the instance's disk
	DiskUsed    int64         `json:"disk_used"`
}

// WriteMessage writes v as JSON behind its length (u32, big-endian), in one Write.
// It refuses what the reader, with the same limit, would refuse.
func WriteMessage(w io.Writer, v any, limit int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(body) > limit {
		return fault.New(fault.Invalid, "", "send message", "it has %d bytes and at most %d are allowed", len(body), limit)
	}
	buf := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(buf, body...))
	return err
}

// ReadMessage reads what WriteMessage wrote into v. The length is checked before
// anything is allocated; bytes behind the JSON value are an error.
func ReadMessage(r io.Reader, v any, limit int) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if int64(n) > int64(limit) {
		return fmt.Errorf("read message: %d bytes announced, at most %d allowed", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return noEOF(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	return nil
}

// noEOF turns the end of a stream inside a message into ErrUnexpectedEOF, so
// that io.EOF always means a clean end between messages.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
