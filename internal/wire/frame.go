package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// FrameType says what a frame of a process stream carries. A frame is one type
// byte, a payload length (u32, big-endian, at most MaxFrame) and the payload.
//
// Both directions are always read by their receiver, whatever the process does,
// so a cancel, a signal or a lost client is noticed at once. For that, stdin has
// credit: the sender may have InitialCredit bytes under way and more only after
// Credit frames; the guest sends those as the process consumes. stdout and stderr
// need none: a slow reader holds back the stream, and so the process's pipe.
type FrameType uint8

// Frames to the process.
const (
	FrameStdin    FrameType = 1 // bytes, within the credit
	FrameStdinEOF FrameType = 2 // empty; nothing may follow on stdin
	FrameSignal   FrameType = 3 // one byte: the signal's number on Linux, to the process group
	FrameResize   FrameType = 4 // rows u16, columns u16, big-endian; ignored without a TTY
)

// Frames from the process.
const (
	FrameStdout FrameType = 16 // bytes
	FrameStderr FrameType = 17 // bytes; never with a TTY
	FrameCredit FrameType = 18 // u32 big-endian: so many more bytes of stdin
	FrameExit   FrameType = 19 // Exit as JSON; the last frame
)

// InitialCredit is how many bytes of stdin may be sent before the first Credit.
const InitialCredit = 256 << 10

// Exit is how a process ended. Either Signal is set, or Code counts.
type Exit struct {
	Code   int  `json:"code"`
	Signal int  `json:"signal,omitempty"` // Linux number
	OOM    bool `json:"oom,omitempty"`    // the kernel's out-of-memory killer ended it
}

// Status is the exit status as a shell gives it: Code, or 128 + Signal.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

const frameHeader = 5

// WriteFrame writes one frame in one Write. A payload over MaxFrame is an error.
func WriteFrame(w io.Writer, t FrameType, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("write frame: %d bytes, at most %d allowed", len(payload), MaxFrame)
	}
	buf := make([]byte, frameHeader, frameHeader+len(payload))
	putHeader(buf, t, len(payload))
	_, err := w.Write(append(buf, payload...))
	return err
}

func putHeader(buf []byte, t FrameType, n int) {
	buf[0] = byte(t)
	binary.BigEndian.PutUint32(buf[1:], uint32(n))
}

// FrameReader decodes frames from one stream. It is not safe for concurrent use.
type FrameReader struct {
	r   io.Reader
	buf [frameHeader + MaxFrame]byte
}

// NewFrameReader reads frames from r, which should be buffered where small reads are dear.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: r} }

// Next returns the next frame. The payload is valid until the following call.
// io.EOF means a clean end between frames.
func (f *FrameReader) Next() (FrameType, []byte, error) {
	if _, err := io.ReadFull(f.r, f.buf[:frameHeader]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(f.buf[1:])
	if n > MaxFrame {
		return 0, nil, fmt.Errorf("read frame: %d bytes announced, at most %d allowed", n, MaxFrame)
	}
	payload := f.buf[frameHeader : frameHeader+n]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return 0, nil, noEOF(err)
	}
	return FrameType(f.buf[0]), payload, nil
}

// Raw is the last frame as it came, header included, for a relay.
func (f *FrameReader) Raw(payload []byte) []byte { return f.buf[:frameHeader+len(payload)] }

// WriteExit writes the last frame of a process stream.
func WriteExit(w io.Writer, e Exit) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return WriteFrame(w, FrameExit, body)
}

// ParseExit decodes the payload of a FrameExit and bounds what it says.
func ParseExit(payload []byte) (Exit, error) {
	var e Exit
	if err := json.Unmarshal(payload, &e); err != nil {
		return Exit{}, fmt.Errorf("read exit: %w", err)
	}
	if e.Code < 0 || e.Code > 255 || e.Signal < 0 || e.Signal > 64 {
		return Exit{}, fmt.Errorf("read exit: code %d, signal %d out of range", e.Code, e.Signal)
	}
	return e, nil
}

// ParseCredit decodes the payload of a FrameCredit.
func ParseCredit(payload []byte) (int, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("read credit: %d bytes", len(payload))
	}
	n := binary.BigEndian.Uint32(payload)
	if n > InitialCredit {
		return 0, fmt.Errorf("read credit: %d bytes at once, at most %d allowed", n, InitialCredit)
	}
	return int(n), nil
}

// WriteCredit grants n more bytes of stdin.
func WriteCredit(w io.Writer, n int) error {
	return WriteFrame(w, FrameCredit, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

// WriteResize tells a terminal's new size.
func WriteResize(w io.Writer, rows, cols uint16) error {
	return WriteFrame(w, FrameResize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, rows), cols))
}

// ParseResize decodes the payload of a FrameResize.
func ParseResize(payload []byte) (rows, cols uint16, err error) {
	if len(payload) != 4 {
		return 0, 0, fmt.Errorf("read resize: %d bytes", len(payload))
	}
	return binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]), nil
}
