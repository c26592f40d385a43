package guest

import (
	"io"
	"strings"
	"testing"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// TestCopyRefuses lists what no honest guest sends.
func TestCopyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		out    bool
		frames []byte
	}{
		"huge frame":         {true, raw(wire.FrameData, 1<<31, "")},
		"empty data":         {true, raw(wire.FrameData, 0, "")},
		"too many zeros":     {true, raw(wire.FrameZeros, 4, "\x7f\x00\x00\x00")},
		"half a count":       {true, raw(wire.FrameZeros, 2, "\x00\x01")},
		"a host's end":       {true, raw(wire.FrameEnd, 0, "")},
		"a process's output": {true, raw(wire.FrameStdout, 1, "x")},
		"data for a copy in": {false, raw(wire.FrameData, 1, "x")},
		"no JSON":            {false, raw(wire.FrameCopied, 1, "{")},
		"no end":             {true, nil},
	} {
		l := scripted(t, wire.Reply{}, func(s *yamux.Stream) { s.Write(c.frames); s.CloseWrite() })
		copying, err := l.CopyIn(t.Context(), wire.CopyIn{})
		if c.out {
			copying, err = l.CopyOut(t.Context(), wire.CopyOut{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, err := copying.Next(); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: type %d, %v", name, kind, err)
		}
	}
}

// TestCopiedIsPrintable, bounded, and of a kind that there is; nothing follows it.
func TestCopiedIsPrintable(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {
		wire.WriteCopied(s, wire.Copied{Left: -5, Error: &wire.Error{Kind: "made up", Why: "\x1b[2J" + strings.Repeat("y", 2*maxWhy)}})
		wire.WriteCopied(s, wire.Copied{})
	})
	c, err := l.CopyIn(t.Context(), wire.CopyIn{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Cancel()
	kind, payload, err := c.Next()
	if err != nil || kind != wire.FrameCopied {
		t.Fatal(kind, err)
	}
	last, err := Copied(payload)
	if err != nil || last.Left != 0 || last.Error.Kind != fault.Internal || len(last.Error.Why) > maxWhy || strings.ContainsRune(last.Error.Why, 0x1b) {
		t.Errorf("%+v, %v", last, err)
	}
	if _, _, err := c.Next(); err != io.EOF {
		t.Errorf("after the last frame: %v", err)
	}
}

// TestCopySends the frames of a tar stream, and nothing behind its end.
func TestCopySends(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) { io.Copy(io.Discard, s) })
	in, err := l.CopyIn(t.Context(), wire.CopyIn{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Cancel()
	out, err := l.CopyOut(t.Context(), wire.CopyOut{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Cancel()
	for _, c := range []struct {
		to   *Copy
		t    wire.FrameType
		text string
		ok   bool
	}{
		{in, wire.FrameData, "x", true},
		{in, wire.FrameData, "", false},
		{in, wire.FrameCopied, "{}", false},
		{in, wire.FrameSignal, "\x09", false},
		{in, wire.FrameEnd, "", true},
		{in, wire.FrameData, "x", false},
		{out, wire.FrameData, "x", false},
	} {
		if err := c.to.Send(c.t, []byte(c.text)); (err == nil) != c.ok {
			t.Errorf("type %d, %q: %v", c.t, c.text, err)
		}
	}
}
