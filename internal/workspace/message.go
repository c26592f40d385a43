//go:build linux

package workspace

import (
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Sizes of linux/fuse.h, in bytes.
const (
	inHeader   = 40      // struct fuse_in_header
	outHeader  = 16      // struct fuse_out_header
	maxPayload = 1 << 20 // of a READ or WRITE: FUSE_MAX_MAX_PAGES of 4 KiB
	maxMessage = maxPayload + 4096
	maxXattr   = 64 << 10 // XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h
	// replyRoom holds any reply but the variable part of a READ, READDIR or xattr:
	// the largest structure has 288 bytes, a symbolic link at most 4096.
	replyRoom = 8 << 10
)

// opcode is enum fuse_opcode of linux/fuse.h.
type opcode uint32

const (
	opLookup      opcode = 1
	opForget      opcode = 2
	opRead        opcode = 15
	opGetxattr    opcode = 22
	opListxattr   opcode = 23
	opInit        opcode = 26
	opReaddir     opcode = 28
	opSetlkw      opcode = 33
	opBatchForget opcode = 42
	opReaddirplus opcode = 44
)

// known gives, for each operation that is served, the least size of what follows
// the header. Anything else is ENOSYS and never reaches the library.
var known = map[opcode]int{
	opLookup: 2, opForget: 8, 3 /* getattr */ : 16, 4 /* setattr */ : 88, 5 /* readlink */ : 0,
	6 /* symlink */ : 4, 8 /* mknod */ : 16, 9 /* mkdir */ : 8, 10 /* unlink */ : 2, 11 /* rmdir */ : 2,
	12 /* rename */ : 8, 13 /* link */ : 8, 14 /* open */ : 8, opRead: 40, 16 /* write */ : 40,
	17 /* statfs */ : 0, 18 /* release */ : 24, 20 /* fsync */ : 16, 21 /* setxattr */ : 8,
	opGetxattr: 8, opListxattr: 8, 24 /* removexattr */ : 2, 25 /* flush */ : 24, opInit: 16,
	27 /* opendir */ : 8, opReaddir: 40, 29 /* releasedir */ : 24, 30 /* fsyncdir */ : 16,
	31 /* getlk */ : 48, 32 /* setlk */ : 48, opSetlkw: 48, 35 /* create */ : 16, 36 /* interrupt */ : 8,
	38 /* destroy */ : 0, opBatchForget: 8, 43 /* fallocate */ : 32, opReaddirplus: 40,
	45 /* rename2 */ : 16, 46 /* lseek */ : 24, 47 /* copy_file_range */ : 56, 51 /* tmpfile */ : 16,
}

// message is one request as it came, header first.
type message []byte

func (m message) op() opcode     { return opcode(binary.NativeEndian.Uint32(m[4:])) }
func (m message) unique() uint64 { return binary.NativeEndian.Uint64(m[8:]) }
func (m message) node() uint64   { return binary.NativeEndian.Uint64(m[16:]) }
func (m message) body() []byte   { return m[inHeader:] }
func (m message) answered() bool { return m.op() != opForget && m.op() != opBatchForget }

// readMessage takes the next message into a pooled buffer. The length is bounded
// before anything is allocated for it. io.EOF is a clean end.
func readMessage(r io.Reader) (message, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.NativeEndian.Uint32(size[:])
	if n < inHeader || n > maxMessage {
		return nil, fmt.Errorf("read request: %d bytes announced, %d to %d allowed", n, inHeader, maxMessage)
	}
	m := getBuffer(int(n))
	copy(m, size[:])
	if _, err := io.ReadFull(r, m[4:]); err != nil {
		putBuffer(m)
		return nil, fmt.Errorf("read request: %w", io.ErrUnexpectedEOF)
	}
	return message(m), nil
}

// room says how large a reply may become, or why the request is refused.
func (m message) room() (int, unix.Errno) {
	least, served := known[m.op()]
	switch {
	case !served || m.node() == ^uint64(0): // the library gives that node a meaning of its own
		return 0, unix.ENOSYS
	case len(m.body()) < least:
		return 0, unix.EINVAL
	}
	var wanted, most uint32
	switch m.op() {
	case opRead, opReaddir, opReaddirplus:
		wanted, most = binary.NativeEndian.Uint32(m.body()[16:]), maxPayload
	case opGetxattr, opListxattr:
		wanted, most = binary.NativeEndian.Uint32(m.body()), maxXattr
	}
	if wanted > most {
		return 0, unix.EINVAL
	}
	return replyRoom + int(wanted), 0
}

// refusal is a reply that carries only an error.
func refusal(unique uint64, errno unix.Errno) []byte {
	b := make([]byte, outHeader)
	binary.NativeEndian.PutUint32(b, outHeader)
	binary.NativeEndian.PutUint32(b[4:], uint32(-int32(errno)))
	binary.NativeEndian.PutUint64(b[8:], unique)
	return b
}
