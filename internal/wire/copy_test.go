package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"aegis/internal/fault"
)

// TestTarStream holds that bytes come as they went, and zeros cheaply.
func TestTarStream(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var want, frames bytes.Buffer
	w := NewTarWriter(&frames)
	for range 200 {
		part := make([]byte, random.IntN(3*MaxFrame))
		if random.IntN(2) == 0 {
			for i := range part {
				part[i] = byte(random.Uint32())
			}
		}
		want.Write(part)
		if n, err := w.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Flush()
	WriteCopied(&frames, Copied{Left: 3})
	r := NewTarReader(&frames)
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want.Bytes()) || r.Copied().Left != 3 {
		t.Errorf("%d bytes of %d, %v, %+v", len(got), want.Len(), err, r.Copied())
	}

	w = NewTarWriter(&frames)
	w.Write(make([]byte, 100<<20))
	w.Flush()
	if frames.Len() > 100<<20/(MaxZeros-MaxFrame)*9+9 {
		t.Errorf("100 MiB of zeros take %d bytes", frames.Len())
	}
}

// TestTarStreamEnds tells a cut from an end.
func TestTarStreamEnds(t *testing.T) {
	data := []byte{32, 0, 0, 0, 1, 'x'}
	for name, c := range map[string]struct {
		frames []byte
		want   error
	}{
		"end":            {append(data, 34, 0, 0, 0, 0), nil},
		"cut":            {data, io.ErrUnexpectedEOF},
		"cut in a frame": {data[:5], io.ErrUnexpectedEOF},
		"nothing":        {nil, io.ErrUnexpectedEOF},
	} {
		if _, err := io.ReadAll(NewTarReader(bytes.NewReader(c.frames))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, frames := range map[string][]byte{
		"empty data":    {32, 0, 0, 0, 0},
		"no zeros":      {33, 0, 0, 0, 4, 0, 0, 0, 0},
		"many zeros":    append([]byte{33, 0, 0, 0, 4}, binary.BigEndian.AppendUint32(nil, MaxZeros+1)...),
		"short count":   {33, 0, 0, 0, 1, 1},
		"another frame": {16, 0, 0, 0, 1, 1},
		"no JSON":       {35, 0, 0, 0, 1, '{'},
	} {
		if _, err := io.ReadAll(NewTarReader(bytes.NewReader(frames))); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTarReader(f *testing.F) {
	var b bytes.Buffer
	w := NewTarWriter(&b)
	w.Write([]byte("data"))
	w.Flush()
	w.Write(make([]byte, 9))
	w.Flush()
	WriteCopied(&b, Copied{Error: &Error{Kind: fault.File, Why: "x"}, Left: -1})
	f.Add(b.Bytes())
	f.Add([]byte{33, 0, 0, 0, 4, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewTarReader(bytes.NewReader(data))
		n, err := io.Copy(io.Discard, r)
		if n > int64(len(data)/9+1)*MaxZeros+int64(len(data)) || r.Copied().Left < 0 {
			t.Errorf("%d bytes of %d, %+v", n, len(data), r.Copied())
		}
		if err == nil && len(data) < 5 {
			t.Error("an end out of nothing")
		}
	})
}
