package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

// message is the encoding of v.
func message(t testing.TB, v any, limit int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteMessage(&b, v, limit); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMessageRoundTrip(t *testing.T) {
	for _, want := range []Request{
		{Op: OpStart, Start: &Start{Seed: []byte{1, 2}, Clock: Clock{5}, Hostname: "h", MachineID: "m", Root: Root{"b", "d", 1 << 40, "ext4"}, Self: &Self{ID: "inst-a", Ports: []SelfPort{{80, "http"}}}, Workspace: &Workspace{ReadOnly: true}, BaseEnv: map[string]string{"K": "v\xc3\xa4"}, Main: Process{ID: MainID, Args: []string{"a", ""}, TTY: true, Rows: 3}}},
		{Op: OpDial, Dial: &Dial{Port: 65535, Wait: time.Minute}},
		{Op: OpShutdown, Shutdown: &Shutdown{Grace: time.Second}},
		{Op: OpWatch},
	} {
		var got Request
		stream := bytes.NewReader(append(message(t, want, MaxRequest), "rest"...))
		if err := ReadMessage(stream, &got, MaxRequest); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if rest, _ := io.ReadAll(stream); string(rest) != "rest" {
			t.Errorf("%q is left", rest)
		}
	}
}

func TestMessageLimits(t *testing.T) {
	if err := WriteMessage(io.Discard, strings.Repeat("x", MaxReply), MaxReply); !fault.Is(err, fault.Invalid) {
		t.Errorf("write: %v", err)
	}
	var v any
	for text, want := range map[string]error{"": io.EOF, "\x00\x00": io.ErrUnexpectedEOF, "\x00\x00\x00\x05{}": io.ErrUnexpectedEOF} {
		if err := ReadMessage(strings.NewReader(text), &v, MaxReply); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	huge := binary.BigEndian.AppendUint32(nil, MaxReply+1)
	if err := ReadMessage(io.MultiReader(bytes.NewReader(huge), zeros{}), &v, MaxReply); err == nil {
		t.Error("a message over its limit is read")
	}
	if err := ReadMessage(strings.NewReader("\x00\x00\x00\x04{} x"), &v, MaxReply); err == nil {
		t.Error("bytes behind the value are accepted")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFrameLimits(t *testing.T) {
	if err := WriteFrame(io.Discard, FrameStdout, make([]byte, MaxFrame+1)); err == nil {
		t.Error("a frame over its limit is written")
	}
	for text, want := range map[string]error{"": io.EOF, "\x10\x00": io.ErrUnexpectedEOF, "\x10\x00\x00\x00\x02a": io.ErrUnexpectedEOF} {
		if _, _, err := NewFrameReader(strings.NewReader(text)).Next(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(message(f, Request{Op: OpExec, Exec: &Process{Args: []string{"true"}}}, MaxRequest))
	f.Add(message(f, Reply{Error: &Error{Kind: fault.Internal, Why: "x"}, Stages: Stages{"a": 1}}, MaxReply))
	f.Add(message(f, Hello{Major: 1, Version: "v"}, MaxReply))
	f.Add(message(f, GuestEvent{ID: 1, Lease: &Lease{For: time.Minute, Reason: "x"}}, MaxReply))
	f.Add(message(f, EventReply{ID: 1, Until: time.Unix(1, 0)}, MaxReply))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{'})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{&Request{}, &Reply{}, &Hello{}, &GuestEvent{}, &EventReply{}} {
			err := ReadMessage(bytes.NewReader(data), v, MaxReply)
			if err != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			if err := ReadMessage(bytes.NewReader(message(t, v, MaxRequest)), again, MaxRequest); err != nil {
				t.Errorf("%+v can't be read again: %v", v, err)
			}
		}
	})
}

func FuzzFrames(f *testing.F) {
	var b bytes.Buffer
	WriteFrame(&b, FrameStdout, []byte("out"))
	WriteCredit(&b, 7)
	WriteResize(&b, 1, 2)
	WriteExit(&b, Exit{Code: 1})
	f.Add(b.Bytes())
	f.Add([]byte{16, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := NewFrameReader(bytes.NewReader(data))
		var read []byte
		for {
			kind, payload, err := reader.Next()
			if err != nil {
				break
			}
			read = append(read, reader.Raw(payload)...)
			checkPayload(t, kind, payload)
		}
		if !bytes.HasPrefix(data, read) {
			t.Errorf("read %x of %x", read, data)
		}
	})
}

func checkPayload(t *testing.T, kind FrameType, payload []byte) {
	if len(payload) > MaxFrame {
		t.Errorf("%d bytes in a frame", len(payload))
	}
	switch kind {
	case FrameExit:
		if e, err := ParseExit(payload); err == nil && (e.Status() < 0 || e.Status() > 255) {
			t.Errorf("exit %+v", e)
		}
	case FrameCredit:
		if n, err := ParseCredit(payload); err == nil && (n < 0 || n > InitialCredit) {
			t.Errorf("credit %d", n)
		}
	case FrameResize:
		ParseResize(payload)
	}
}
