package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Frames of a copy. Its tar stream goes from the host to the guest for copy-in, the
// other way for copy-out. The guest's last frame is FrameCopied; with an error in it,
// it may come at any time. The sender of a tar stream that was cut sends neither
// FrameEnd nor FrameCopied, so that a cut is never taken for the end.
const (
	FrameData   FrameType = 32 // bytes of the tar stream, at least one
	FrameZeros  FrameType = 33 // u32 big-endian, from 1 to MaxZeros: so many zero bytes of it
	FrameEnd    FrameType = 34 // empty: the host's tar stream is whole
	FrameCopied FrameType = 35 // Copied as JSON
)

// MaxZeros is how many zero bytes one frame may stand for.
const MaxZeros = 4 << 20

// CopyIn puts a tar stream into the instance's root. Paths are bytes of any kind.
type CopyIn struct {
	Path []byte `json:"path"`           // where to; from "/" if it is relative
	Top  []byte `json:"top,omitempty"`  // name at the top of the stream; ".": the contents of a directory; empty: any entries
	Dir  bool   `json:"dir,omitempty"`  // the top is a directory
	Keep bool   `json:"keep,omitempty"` // the owners that the stream names; else the main process's user
}

// CopyOut asks for a file or a tree as a tar stream.
type CopyOut struct {
	Path   []byte `json:"path"`             // from "/" if it is relative
	Follow bool   `json:"follow,omitempty"` // a link at its end
}

// Copied is how a copy ended. Error is empty on success.
type Copied struct {
	Error *Error `json:"error,omitempty"`
	Left  int    `json:"left,omitempty"` // devices, pipes and sockets that were left out
}

// WriteCopied writes the last frame of a copy.
func WriteCopied(w io.Writer, c Copied) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return WriteFrame(w, FrameCopied, body)
}

// ParseCopied decodes the payload of a FrameCopied and bounds what it says.
func ParseCopied(payload []byte) (Copied, error) {
	var c Copied
	if err := json.Unmarshal(payload, &c); err != nil {
		return Copied{}, fmt.Errorf("read the end of a copy: %w", err)
	}
	c.Left = max(0, c.Left)
	return c, nil
}

// CheckTar refuses a payload that no FrameData or FrameZeros has.
func CheckTar(t FrameType, payload []byte) error {
	switch t {
	case FrameData:
		if len(payload) == 0 {
			return fmt.Errorf("read frame: no data in it")
		}
	case FrameZeros:
		if len(payload) != 4 {
			return fmt.Errorf("read frame: a count of %d bytes", len(payload))
		}
		if n := binary.BigEndian.Uint32(payload); n == 0 || n > MaxZeros {
			return fmt.Errorf("read frame: %d zero bytes, from 1 to %d allowed", n, MaxZeros)
		}
	default:
		return fmt.Errorf("read frame: type %d in a tar stream", t)
	}
	return nil
}

// TarWriter turns a tar stream into frames: zeros, which sparse files are full of,
// take next to no room. Flush it at the end.
type TarWriter struct {
	w     io.Writer
	buf   [frameHeader + MaxFrame]byte
	n     int
	zeros uint32 // that were not written yet, before what is in buf
}

// NewTarWriter writes frames to w.
func NewTarWriter(w io.Writer) *TarWriter { return &TarWriter{w: w} }

// Write keeps p until a frame is full.
func (t *TarWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := copy(t.buf[frameHeader+t.n:], p)
		t.n += n
		written += n
		p = p[n:]
		if t.n == MaxFrame {
			if err := t.frame(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

var zeroBytes [MaxFrame]byte

// frame empties buf: into a frame of data, or into what zeros counts.
func (t *TarWriter) frame() error {
	n := t.n
	t.n = 0
	if bytes.Equal(t.buf[frameHeader:frameHeader+n], zeroBytes[:n]) {
		if t.zeros += uint32(n); t.zeros > MaxZeros-MaxFrame {
			return t.tell()
		}
		return nil
	}
	if err := t.tell(); err != nil {
		return err
	}
	putHeader(t.buf[:], FrameData, n)
	_, err := t.w.Write(t.buf[:frameHeader+n])
	return err
}

// tell writes the frame of the zeros so far.
func (t *TarWriter) tell() error {
	n := t.zeros
	t.zeros = 0
	if n == 0 {
		return nil
	}
	return WriteFrame(t.w, FrameZeros, binary.BigEndian.AppendUint32(nil, n))
}

// Flush writes what is left.
func (t *TarWriter) Flush() error {
	if err := t.frame(); err != nil {
		return err
	}
	return t.tell()
}

// TarReader gives the tar stream that frames carry. It ends with io.EOF when the
// stream is whole, and with io.ErrUnexpectedEOF when it was cut.
type TarReader struct {
	frames *FrameReader
	data   []byte
	zeros  int
	err    error
	end    FrameType
	copied Copied
}

// NewTarReader reads frames from r.
func NewTarReader(r io.Reader) *TarReader { return &TarReader{frames: NewFrameReader(r)} }

// Copied is what the last frame said, once Read has given io.EOF. An error in it
// is for the caller to look at.
func (t *TarReader) Copied() Copied { return t.copied }

// End is the frame that ended the stream, once Read has given io.EOF: only FrameEnd
// is the host's, and only FrameCopied the guest's.
func (t *TarReader) End() FrameType { return t.end }

// Read gives some of the stream.
func (t *TarReader) Read(p []byte) (int, error) {
	for len(t.data) == 0 && t.zeros == 0 {
		if t.err == nil {
			t.err = t.next()
		}
		if t.err != nil {
			return 0, t.err
		}
	}
	if len(t.data) > 0 {
		n := copy(p, t.data)
		t.data = t.data[n:]
		return n, nil
	}
	n := min(len(p), t.zeros)
	clear(p[:n])
	t.zeros -= n
	return n, nil
}

// next reads one frame.
func (t *TarReader) next() error {
	kind, payload, err := t.frames.Next()
	if err != nil {
		return noEOF(err)
	}
	t.end = kind
	switch kind {
	case FrameEnd:
		return io.EOF
	case FrameCopied:
		if t.copied, err = ParseCopied(payload); err != nil {
			return err
		}
		return io.EOF
	}
	if err := CheckTar(kind, payload); err != nil {
		return err
	}
	if kind == FrameData {
		t.data = payload
	} else {
		t.zeros = int(binary.BigEndian.Uint32(payload))
	}
	return nil
}
