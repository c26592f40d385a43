package wire

import "encoding/binary"

// Owner is to whom, in the guest, the files of the user who serves a workspace belong.
type Owner struct{ UID, GID uint32 }

// OpOwner marks the message that says so: the first in a workspace's channel, before
// those of FUSE and in their form, and without an answer. Where it is missing, the owner is
// root. The opcodes of linux/fuse.h end at 4096.
const OpOwner = 1 << 16

// ownerAt is the size of struct fuse_in_header.
const ownerAt = 40

// Message is the owner as that message: a header with length and opcode, and the IDs.
func (o Owner) Message() []byte {
	b := make([]byte, ownerAt, ownerAt+8)
	b = binary.NativeEndian.AppendUint32(b, o.UID)
	b = binary.NativeEndian.AppendUint32(b, o.GID)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint32(b[4:], OpOwner)
	return b
}

// ReadOwner reads what follows the header; false: it is too short.
func ReadOwner(body []byte) (Owner, bool) {
	if len(body) < 8 {
		return Owner{}, false
	}
	return Owner{binary.NativeEndian.Uint32(body), binary.NativeEndian.Uint32(body[4:])}, true
}
