package guest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// pair is a connected pair with room in it, unlike net.Pipe.
func pair(t *testing.T) (host, guest net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if host, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if guest, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(); guest.Close() })
	return host, guest
}

// scripted is a link to a guest that says hello and then answers each operation
// by script, behind a good reply.
func scripted(t *testing.T, reply wire.Reply, script func(*yamux.Stream)) *Link {
	t.Helper()
	host, peer := pair(t)
	go serveScript(peer, reply, script)
	l, err := Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func serveScript(peer net.Conn, reply wire.Reply, script func(*yamux.Stream)) {
	wire.WriteMessage(peer, wire.Hello{Major: wire.Major, Version: "scripted"}, wire.MaxReply)
	var hello wire.Hello
	wire.ReadMessage(peer, &hello, wire.MaxReply)
	config := muxConfig()
	config.MaxIncomingStreams = 1024
	session, err := yamux.Server(patient{peer}, config, nil)
	if err != nil {
		return
	}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			var req wire.Request
			if wire.ReadMessage(stream, &req, wire.MaxRequest) != nil {
				return
			}
			wire.WriteMessage(stream, reply, wire.MaxReply)
			script(stream)
		}()
	}
}

// raw is a frame with any header.
func raw(t wire.FrameType, size uint32, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{byte(t)}, size), payload...)
}

// TestProcessRefuses lists what no honest guest sends.
func TestProcessRefuses(t *testing.T) {
	for name, frames := range map[string][]byte{
		"huge frame":        raw(wire.FrameStdout, 1<<31, ""),
		"one byte too many": raw(wire.FrameStdout, wire.MaxFrame+1, strings.Repeat("x", wire.MaxFrame+1)),
		"empty output":      raw(wire.FrameStdout, 0, ""),
		"stderr of a tty":   raw(wire.FrameStderr, 1, "x"),
		"unknown type":      raw(99, 1, "x"),
		"a host's frame":    raw(wire.FrameStdin, 1, "x"),
		"unused credit":     raw(wire.FrameCredit, 4, "\x00\x00\x00\x01"),
		"zero credit":       raw(wire.FrameCredit, 4, "\x00\x00\x00\x00"),
		"long credit":       raw(wire.FrameCredit, 5, "\x00\x00\x00\x00\x01"),
		"exit code":         raw(wire.FrameExit, 12, `{"code":-10}`),
		"exit no JSON":      raw(wire.FrameExit, 3, `{"c`),
		"half a frame":      raw(wire.FrameStdout, 9, "x"),
		"no exit":           nil,
	} {
		l := scripted(t, wire.Reply{}, func(s *yamux.Stream) { s.Write(frames); s.CloseWrite() })
		p, err := l.Exec(t.Context(), wire.Process{TTY: true})
		if err != nil {
			t.Fatal(err)
		}
		if kind, payload, err := p.Next(); !fault.Is(err, fault.Internal) || err == io.EOF {
			t.Errorf("%s: type %d, %d bytes, %v", name, kind, len(payload), err)
		}
	}
}

// TestNothingAfterExit reads no frame that follows the last.
func TestNothingAfterExit(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {
		wire.WriteExit(s, wire.Exit{Code: 5})
		for wire.WriteFrame(s, wire.FrameStdout, []byte("more")) == nil {
		}
	})
	p, err := l.Exec(t.Context(), wire.Process{})
	if err != nil {
		t.Fatal(err)
	}
	if kind, _, err := p.Next(); kind != wire.FrameExit || err != nil {
		t.Fatalf("type %d, %v", kind, err)
	}
	for range 2 {
		if kind, _, err := p.Next(); err != io.EOF {
			t.Errorf("after the exit: type %d, %v", kind, err)
		}
	}
	if err := p.Send(wire.FrameStdin, []byte("x")); err == nil {
		t.Errorf("a process that has ended takes stdin")
	}
}

func TestSendKeepsCredit(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {
		frames := wire.NewFrameReader(s)
		for {
			kind, payload, err := frames.Next()
			if err != nil {
				return
			}
			if kind == wire.FrameSignal {
				wire.WriteCredit(s, 10)
			}
			_ = payload
		}
	})
	p, err := l.Exec(t.Context(), wire.Process{})
	if err != nil {
		t.Fatal(err)
	}
	for range wire.InitialCredit / wire.MaxFrame {
		if err := p.Send(wire.FrameStdin, make([]byte, wire.MaxFrame)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Send(wire.FrameStdin, []byte("x")); !fault.Is(err, fault.Invalid) {
		t.Errorf("beyond the credit: %v", err)
	}
	p.Send(wire.FrameSignal, []byte{15})
	if kind, _, err := p.Next(); kind != wire.FrameCredit || err != nil {
		t.Fatalf("type %d, %v", kind, err)
	}
	if err := p.Send(wire.FrameStdin, make([]byte, 10)); err != nil {
		t.Errorf("within new credit: %v", err)
	}
	for _, bad := range []struct {
		t wire.FrameType
		n int
	}{{wire.FrameStdout, 1}, {wire.FrameSignal, 2}, {wire.FrameResize, 3}, {wire.FrameStdinEOF, 1}, {0, 0}} {
		if err := p.Send(bad.t, make([]byte, bad.n)); !fault.Is(err, fault.Invalid) {
			t.Errorf("type %d with %d bytes: %v", bad.t, bad.n, err)
		}
	}
	p.Send(wire.FrameStdinEOF, nil)
	if err := p.Send(wire.FrameStdin, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("after the end: %v", err)
	}
}

// TestReplyIsCleaned bounds texts, names and numbers of a reply.
func TestReplyIsCleaned(t *testing.T) {
	why := "\x1b[2Jno\x00 \u202e\xff way" + strings.Repeat("x", 5000)
	l := scripted(t, wire.Reply{Error: &wire.Error{Kind: "made_up", Why: why}}, func(*yamux.Stream) {})
	_, err := l.Exec(t.Context(), wire.Process{})
	e := fault.As(err)
	if e.Kind != fault.Internal || len(e.Why) > maxWhy || strings.ContainsAny(e.Why, "\x1b\x00\u202e") || !strings.HasPrefix(e.Why, "[2Jno  way") {
		t.Errorf("%s %.40q (%d bytes)", e.Kind, e.Why, len(e.Why))
	}
	many := wire.Stages{"bad name": 1, "neg": -5, "long": 1000 * time.Hour, strings.Repeat("n", 99): 1}
	for i := range 100 {
		many["s"+strings.Repeat("i", i%20)+string(rune('a'+i%26))] = 1
	}
	l = scripted(t, wire.Reply{Stages: many}, func(*yamux.Stream) {})
	_, got, err := l.Start(t.Context(), wire.Start{})
	if err != nil || len(got) > maxStages || got["bad name"] != 0 || got["neg"] < 0 || got["long"] > time.Hour {
		t.Errorf("%v, %v", got, err)
	}
	l = scripted(t, wire.Reply{Stats: &wire.Stats{CPU: -1, MemoryTotal: 5, MemoryUsed: 9, DiskTotal: -3, DiskUsed: 7, Processes: -2}}, func(*yamux.Stream) {})
	if s, err := l.Stats(t.Context()); err != nil || s != (wire.Stats{MemoryTotal: 5, MemoryUsed: 5}) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestHelloRefused(t *testing.T) {
	huge := append(binary.BigEndian.AppendUint32(nil, 1<<31), '{')
	newer := strings.Builder{}
	wire.WriteMessage(&newer, wire.Hello{Major: wire.Major + 1}, wire.MaxReply)
	for name, c := range map[string]struct {
		say  string
		kind fault.Kind
	}{
		"newer":   {newer.String(), fault.Version},
		"huge":    {string(huge), fault.BootFailed},
		"no JSON": {"\x00\x00\x00\x03{{{", fault.BootFailed},
		"nothing": {"", fault.BootFailed},
	} {
		host, peer := pair(t)
		io.WriteString(peer, c.say)
		peer.(*net.TCPConn).CloseWrite()
		if _, err := Open(t.Context(), host); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := host.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the channel was left open", name)
		}
	}
	host, _ := pair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, host); !fault.Is(err, fault.Timeout) {
		t.Errorf("a silent guest: %v", err)
	}
}

// TestGuestOpensNothing resets every stream that a guest opens, and goes on.
func TestGuestOpensNothing(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {
		for range 2000 {
			if _, err := s.Session().OpenStream(context.Background()); err != nil {
				return
			}
		}
		wire.WriteExit(s, wire.Exit{})
	})
	p, err := l.Exec(t.Context(), wire.Process{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(30*time.Second, p.Cancel)
	if kind, _, err := p.Next(); kind != wire.FrameExit || err != nil {
		t.Errorf("type %d, %v", kind, err)
	}
	if n := l.session.NumStreams(); n > 1 {
		t.Errorf("%d streams are open", n)
	}
}

// TestManyStreams refuses more operations than the memory is planned for.
func TestManyStreams(t *testing.T) {
	l := scripted(t, wire.Reply{}, func(s *yamux.Stream) {})
	for i := range maxStreams {
		if _, err := l.Dial(t.Context(), 80, 0); err != nil {
			t.Fatalf("dial %d: %v", i, err)
		}
	}
	if _, err := l.Dial(t.Context(), 80, 0); !errors.Is(err, errBudget) {
		t.Errorf("one more: %v", err)
	}
}

// TestCancelledWhileWaiting returns when ctx ends though the guest says nothing.
func TestCancelledWhileWaiting(t *testing.T) {
	host, peer := pair(t)
	go func() {
		wire.WriteMessage(peer, wire.Hello{Major: wire.Major}, wire.MaxReply)
		io.Copy(io.Discard, peer)
	}()
	l, err := Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx, 80, time.Hour); !fault.Is(err, fault.Timeout) {
		t.Errorf("%v", err)
	}
	peer.Close()
	select {
	case <-l.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the link does not notice its end")
	}
	if l.Err() == nil {
		t.Errorf("no reason for the end")
	}
}
