package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"aegis/internal/paths"
)

func TestFormat(t *testing.T) {
	dir := logDir(t)
	synctest.Test(t, func(t *testing.T) { // its clock stands at the beginning of 2000
		w := create(t, dir, 1<<20)
		write(t, w.Stream(Stdout, ""), "a \"quoted\" \\ \t\r\x1b[0m\x00 é line\n")
		write(t, w.Stream(Stderr, "exec-b"), "\xff\n")
		s := w.Stream(Stdout, "exec-b")
		write(t, s, "no end")
		s.Close()
		w.System("two\nlines\n")
		w.Close()
	})
	const ts = `{"ts":"2000-01-01T00:00:00.000000000Z","stream":`
	want := ts + `"stdout","line":"a \"quoted\" \\ \t\r\u001b[0m\u0000 é line","instance_id":"` + testID + "\"}\n" +
		ts + `"stderr","line":"/w==","instance_id":"` + testID + `","exec_id":"exec-b","base64":true}` + "\n" +
		ts + `"stdout","line":"no end","instance_id":"` + testID + `","exec_id":"exec-b","partial":true}` + "\n" +
		ts + `"system","line":"two","instance_id":"` + testID + "\"}\n" +
		ts + `"system","line":"lines","instance_id":"` + testID + "\"}\n"
	got, err := os.ReadFile(paths.LogFile(dir, 1))
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
}

// TestJoinsToWhatWasWritten holds the promise of the package comment for any
// bytes, in any pieces, on two streams at once, over a reopening.
func TestJoinsToWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "logs")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var want [2]bytes.Buffer
		for range rapid.IntRange(1, 2).Draw(rt, "lives") {
			w := create(t, dir, 1<<20)
			w.maxLine = rapid.IntRange(4, 40).Draw(rt, "maxLine")
			streams := []*Stream{w.Stream(Stdout, ""), w.Stream(Stderr, "")}
			for range rapid.IntRange(0, 20).Draw(rt, "writes") {
				i := rapid.IntRange(0, 1).Draw(rt, "stream")
				piece := rapid.OneOf(rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\xc3\xa9\x00")), 0, 50),
					rapid.SliceOfN(rapid.Byte(), 0, 50)).Draw(rt, "piece")
				write(t, streams[i], string(piece))
				want[i].Write(piece)
			}
			w.Close()
			if w.held != 0 {
				rt.Fatalf("%d bytes are held after Close", w.held)
			}
		}
		for i, stream := range []string{Stdout, Stderr} {
			got := text(read(t, dir, Query{Tail: -1, Streams: []string{stream}}))
			if got != want[i].String() {
				rt.Fatalf("%s: got %q, want %q", stream, got, want[i].String())
			}
		}
	})
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	w.maxLine = 9 // never at the end of a character
	s := w.Stream(Stdout, "")
	write(t, s, strings.Repeat("é世", 20)+"\n")
	w.Close()
	for _, r := range read(t, dir, all) {
		if r.Base64 || len(r.Line) > 9 {
			t.Errorf("%+v", r)
		}
	}
}

func TestLongLines(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		bytes   int
		fill    string
		limit   int // of a line
		records []int
	}{
		{16 * mib, "x", maxLine, []int{16 * mib}},
		{maxLine + 3, "x", maxLine, []int{maxLine, 3}},
		{mib, "x", mib, []int{mib}},
		{mib, "\x01", mib, []int{mib}},
		{2*mib + 1, "\xff", mib, []int{mib, mib, 1}},
	} {
		t.Run(fmt.Sprintf("%d of %q", c.bytes, c.fill), func(t *testing.T) {
			dir := logDir(t)
			w := create(t, dir, 100<<20)
			if w.maxLine != maxLine {
				t.Fatalf("the usual cap cuts lines at %d", w.maxLine)
			}
			w.maxLine = c.limit
			line := strings.Repeat(c.fill, c.bytes)
			writeFrames(t, w.Stream(Stdout, ""), line+"\n")
			w.Close()
			got := read(t, dir, Query{Tail: 5})
			if len(got) != len(c.records) || text(got) != line+"\n" {
				t.Fatalf("%d records, or other bytes", len(got))
			}
			for i, want := range c.records {
				if len(got[i].Line) != want || got[i].Partial != (i < len(got)-1) {
					t.Errorf("record %d has %d bytes", i, len(got[i].Line))
				}
			}
			if total, _ := usage(t, dir); total > int64(len(c.records)*(2*c.limit+1024)) {
				t.Errorf("it takes %d bytes", total)
			}
		})
	}
}

// writeFrames writes as the guest link does, 64 KiB at a time.
func writeFrames(t *testing.T, s *Stream, rest string) {
	t.Helper()
	for rest != "" {
		n := min(len(rest), 64<<10)
		write(t, s, rest[:n])
		rest = rest[n:]
	}
}

// TestHoldsLittle holds that many streams with endless lines don't eat memory.
func TestHoldsLittle(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 100<<20)
	w.maxLine, w.maxHeld = 1<<20, 2<<20
	chunk := strings.Repeat("x", 64<<10)
	for i := range 5 {
		s := w.Stream(Stdout, fmt.Sprint(i))
		for range 15 {
			write(t, s, chunk)
			if w.held > w.maxHeld {
				t.Fatalf("%d bytes are held", w.held)
			}
		}
	}
	w.Close()
	for i := range 5 {
		if got := text(read(t, dir, Query{Tail: -1, Exec: fmt.Sprint(i)})); len(got) != 15*64<<10 {
			t.Errorf("stream %d: %d bytes", i, len(got))
		}
	}
}

func TestWritesAreThereAtOnce(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	write(t, w.Stream(Stdout, ""), "now\n")
	if got := names(read(t, dir, all)); got != "now" {
		t.Errorf("before Close there is %q", got)
	}
}

func TestClosed(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	s.Close()
	if _, err := s.Write([]byte("x\n")); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	open := w.Stream(Stdout, "")
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := open.Write([]byte("x\n")); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := open.Close(); err != nil {
		t.Error(err)
	}
	if err := w.System("x"); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkWrite100kLines(b *testing.B) {
	line := []byte(strings.Repeat("x", 79) + "\n")
	for b.Loop() {
		w := create(b, b.TempDir(), 100<<20)
		s := w.Stream(Stdout, "")
		for range 100_000 {
			if _, err := s.Write(line); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
