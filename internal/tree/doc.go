// Package tree turns files and directories into a tar stream and back.
//
// Who calls it: package cli on the host and the harness in the guest, each of which
// reads what the other wrote. Its rules of where a copy goes are docker's.
//
// What it never does: follow a link below the directory that it was given, write
// outside of it, or make a device. It keeps modes, times to the nanosecond,
// symbolic links as links, hard links within one copy, and names of any bytes;
// extended attributes, devices, pipes and sockets are not copied. Zeros become
// holes again. What it holds in memory grows neither with the number of entries nor
// with their size, but for one directory's names and, up to a limit, the hard links.
package tree

import (
	"errors"

	"aegis/internal/fault"
)

// ErrOutside is the cause of a refusal of a link that may lead out of the copied
// tree; Options.Outside lets such links be.
var ErrOutside = errors.New("a link leads out")

// Bounds of a stream: a longer or deeper name is refused. The first is Linux's
// PATH_MAX (limits.h); a directory that is being filled takes a descriptor.
const (
	maxPath  = 4096 // bytes
	maxDepth = 512
)

// moveSize is how much of a file is read or written at once, which a workspace's
// file system wants to be much; blockSize is the least that becomes a hole.
const (
	moveSize  = 8 * blockSize
	blockSize = 64 << 10
)

// refuse is an error about a path or an entry. What was to be copied is for the
// caller to say.
func refuse(name, why string, args ...any) error {
	return fault.New(fault.File, name, "", why, args...)
}
