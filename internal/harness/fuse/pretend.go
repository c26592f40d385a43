//go:build linux

package fuse

import (
	"encoding/binary"
	"io"

	"golang.org/x/sys/unix"
)

// Opcodes of linux/fuse.h that Pretend knows.
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opStatfs      = 17
	opInit        = 26
	opOpendir     = 27
	opReaddir     = 28
	opReleasedir  = 29
	opInterrupt   = 36
	opBatchForget = 42
)

// Sizes in bytes of that header's structures, and its version that they belong to.
const (
	inHeader   = 40
	initOut    = 64
	attrOut    = 104
	statfsOut  = 80
	openOut    = 16
	fuseMajor  = 7
	fuseMinor  = 31
	believeFor = 1 // seconds that the kernel may keep an attribute
)

// Pretend answers the kernel, in the host's place and as it would for an empty
// directory, until the channel ends: for a rehearsal, in which there is no host.
func Pretend(channel io.ReadWriter) error {
	buf := make([]byte, maxMessage)
	for {
		if _, err := io.ReadFull(channel, buf[:inHeader]); err != nil {
			return err
		}
		n := binary.NativeEndian.Uint32(buf)
		if n < inHeader || n > maxMessage {
			return io.ErrUnexpectedEOF
		}
		if _, err := io.ReadFull(channel, buf[inHeader:n]); err != nil {
			return err
		}
		if reply := pretended(buf[:n]); reply != nil {
			if _, err := channel.Write(reply); err != nil {
				return err
			}
		}
	}
}

// pretended is the reply to one request, nil for those that have none.
func pretended(request []byte) []byte {
	ne := binary.NativeEndian
	var body []byte
	var errno unix.Errno
	switch ne.Uint32(request[4:]) {
	case opForget, opBatchForget, opInterrupt:
		return nil
	case opInit:
		body = make([]byte, initOut)
		ne.PutUint32(body[0:], fuseMajor)
		ne.PutUint32(body[4:], fuseMinor)
		ne.PutUint32(body[20:], maxPayload) // max_write
	case opGetattr:
		body = make([]byte, attrOut)
		ne.PutUint64(body[0:], believeFor)
		ne.PutUint64(body[16:], 1)                     // inode
		ne.PutUint32(body[16+60:], unix.S_IFDIR|0o755) // mode
		ne.PutUint32(body[16+64:], 2)                  // links
	case opStatfs:
		body = make([]byte, statfsOut)
	case opOpendir:
		body = make([]byte, openOut)
	case opReaddir, opReleasedir: // nothing, or nothing to say
	case opLookup:
		errno = unix.ENOENT
	default:
		errno = unix.ENOSYS
	}
	reply := make([]byte, outHeader, outHeader+len(body))
	ne.PutUint32(reply[0:], uint32(outHeader+len(body)))
	ne.PutUint32(reply[4:], uint32(-int32(errno)))
	ne.PutUint64(reply[8:], ne.Uint64(request[8:])) // unique
	return append(reply, body...)
}
