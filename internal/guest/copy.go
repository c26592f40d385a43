package guest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Copy is a copy under way, seen through its stream of frames. One goroutine calls
// Next; Send and Cancel may be called by any. Cancel must be called at the end.
type Copy struct {
	stream *yamux.Stream
	frames *wire.FrameReader
	out    bool // the guest sends the tar stream
	ended  bool // Next's alone

	sending sync.Mutex // keeps frames whole and in order
	whole   bool       // FrameEnd was sent
}

// CopyIn begins to put a tar stream into the instance's root. Where it can't go is
// refused before any of it is sent. ctx bounds the guest's first reply alone.
func (l *Link) CopyIn(ctx context.Context, in wire.CopyIn) (*Copy, error) {
	return l.copy(ctx, wire.Request{Op: wire.OpCopyIn, CopyIn: &in})
}

// CopyOut begins to get files as a tar stream. A path that is not there is refused
// at once.
func (l *Link) CopyOut(ctx context.Context, out wire.CopyOut) (*Copy, error) {
	return l.copy(ctx, wire.Request{Op: wire.OpCopyOut, CopyOut: &out})
}

func (l *Link) copy(ctx context.Context, req wire.Request) (*Copy, error) {
	stream, _, err := l.open(ctx, "copy files", req)
	if err != nil {
		return nil, err
	}
	frames := wire.NewFrameReader(bufio.NewReaderSize(stream, 32<<10))
	return &Copy{stream: stream, frames: frames, out: req.Op == wire.OpCopyOut}, nil
}

// Next gives the next frame of the tar stream, for a copy out, or the last one,
// FrameCopied. The payload is valid until the following call. After the last it
// gives io.EOF. Anything that breaks the protocol cancels the copy. The guest's own
// words are those of Copied, not of the payload.
func (c *Copy) Next() (wire.FrameType, []byte, error) {
	if c.ended {
		return 0, nil, io.EOF
	}
	t, payload, err := c.frames.Next()
	switch {
	case err != nil:
	case t == wire.FrameCopied:
		_, err = wire.ParseCopied(payload)
		c.ended = err == nil
	case !c.out:
		err = errors.New("a frame that must not be")
	default:
		err = wire.CheckTar(t, payload)
	}
	if err != nil {
		c.Cancel()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fault.New(fault.Internal, "", "copy files", "the guest's stream ended before the copy did: %w", err)
	}
	return t, payload, nil
}

// Copied reads the last frame, with words that a terminal can show.
func Copied(payload []byte) (wire.Copied, error) {
	c, err := wire.ParseCopied(payload)
	if err == nil && c.Error != nil {
		f := fault.As(refusal("copy files", c.Error))
		c.Error = &wire.Error{Kind: f.Kind, Why: f.Why}
	}
	return c, err
}

// Send passes one frame of the tar stream to the guest, or its end, after which
// nothing may follow. For a copy out it is an error.
func (c *Copy) Send(t wire.FrameType, payload []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	err := wire.CheckTar(t, payload)
	if t == wire.FrameEnd && len(payload) == 0 {
		err = nil
	}
	if err != nil || c.out || c.whole {
		return fault.New(fault.Invalid, "", "copy files", "a frame of type %d with %d bytes does not belong there", t, len(payload))
	}
	c.whole = t == wire.FrameEnd
	if err := wire.WriteFrame(c.stream, t, payload); err != nil {
		return fault.New(fault.Internal, "", "copy files", "the guest's stream has ended: %w", err)
	}
	return nil
}

// Cancel ends the copy, if it is still under way, and the stream.
func (c *Copy) Cancel() { c.stream.Reset() }
