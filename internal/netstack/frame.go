package netstack

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of a frame, in bytes.
const (
	ethernetHeader = 14
	maxFrame       = 65550 + ethernetHeader // QEMU's own limit is above it
	minFrame       = ethernetHeader
)

// frameReader takes frames from the monitor's stream.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{bufio.NewReaderSize(r, 256<<10), make([]byte, maxFrame)}
}

// next is the next frame, valid until the following call. A frame that is too short to
// be one is empty. A length beyond the limit is an error: the stream can't be
// trusted to have another frame behind it.
func (f *frameReader) next() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(f.r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("read frame: %d bytes announced, at most %d allowed", n, maxFrame)
	}
	if _, err := io.ReadFull(f.r, f.buf[:n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read frame: %w", err)
	}
	if n < minFrame {
		return nil, nil
	}
	return f.buf[:n], nil
}

// head is the length before a frame.
func head(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
