//go:build linux

package workspace

import "sync"

// Messages are small (names, attributes) or as large as a READ. The collector
// takes back what an idle guest leaves in the pools.
const smallBuffer = 16 << 10

const largeBuffer = maxMessage + replyRoom

var (
	small = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	large = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer returns n bytes of unspecified content, n at most largeBuffer.
func getBuffer(n int) []byte {
	if n <= smallBuffer {
		return small.Get().(*[smallBuffer]byte)[:n]
	}
	return large.Get().(*[largeBuffer]byte)[:n]
}

// putBuffer takes back what getBuffer gave.
func putBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		small.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		large.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}
