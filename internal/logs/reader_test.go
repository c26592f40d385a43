package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"aegis/internal/paths"
)

// several writes a log of n records over many files and streams.
func several(t *testing.T, dir string, n int) *Writer {
	t.Helper()
	w := create(t, dir, 1<<20)
	streams := []*Stream{w.Stream(Stdout, ""), w.Stream(Stderr, ""), w.Stream(Stdout, "exec-a")}
	for i := range n {
		write(t, streams[i%3], fmt.Sprintf("%d\n", i))
		if i%7 == 6 {
			w.files.next()
		}
	}
	return w
}

func TestTailIsTheEndOfAll(t *testing.T) {
	dir := logDir(t)
	several(t, dir, 100)
	for _, q := range []Query{{}, {Streams: []string{Stderr}}, {Streams: []string{Stdout, Stderr}}, {Exec: "exec-a"},
		{Exec: "none"}, {Streams: []string{System}}} {
		q.Tail = -1
		everything := read(t, dir, q)
		for _, n := range []int{0, 1, 2, 6, 7, 8, 33, 99, 100, 101, 1000} {
			q.Tail = n
			want := everything[max(0, len(everything)-n):]
			if got := read(t, dir, q); names(got) != names(want) {
				t.Errorf("%+v: got %q, want %q", q, names(got), names(want))
			}
		}
	}
	if got := read(t, dir, all); len(got) != 100 {
		t.Errorf("%d records of 100", len(got))
	}
}

func TestSince(t *testing.T) {
	dir := logDir(t)
	several(t, dir, 30)
	middle := read(t, dir, all)[20].TS
	for _, tail := range []int{-1, 100, 10} {
		if got := read(t, dir, Query{Tail: tail, Since: middle}); len(got) != 10 || got[0].Line != "20" {
			t.Errorf("tail %d: %q", tail, names(got))
		}
	}
	for n := 1; n <= 4; n++ { // files that were last written long ago are not looked at
		old := middle.Add(-time.Hour)
		if err := os.Chtimes(paths.LogFile(dir, n), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, dir, Query{Tail: -1, Since: middle.Add(-time.Minute)}); len(got) != 2 || got[0].Line != "28" {
		t.Errorf("of the newest file only: %q", names(got))
	}
}

// counting counts the bytes that are read of a file.
type counting struct {
	io.ReaderAt
	bytes int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += int64(len(p))
	return c.ReaderAt.ReadAt(p, off)
}

func TestTailReadsLittle(t *testing.T) {
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 100_000)
	for _, n := range []int{1, 10, 10_000} {
		f := &counting{ReaderAt: strings.NewReader(text)}
		left := n
		if err := backward(f, int64(len(text)), func(int64, []byte) bool { left--; return left > 0 }); err != nil {
			t.Fatal(err)
		}
		if most := int64(n*100 + 256<<10); f.bytes > most {
			t.Errorf("%d lines: %d bytes were read, at most %d expected", n, f.bytes, most)
		}
	}
}

func TestPassesOverWhatIsNoRecord(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	write(t, s, "one\n")
	f, err := os.OpenFile(paths.LogFile(dir, 1), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write(t, f, "\n[]\n{\n\x00\x00\n"+"{}"+strings.Repeat(" ", maxRecord)+"\n")
	write(t, s, "two\n")
	for _, q := range []Query{all, {Tail: 2}} {
		if got := names(read(t, dir, q)); got != "one two" {
			t.Errorf("%+v: %q", q, got)
		}
	}
}

func TestNoLog(t *testing.T) {
	for _, dir := range []string{logDir(t), t.TempDir()} {
		for _, tail := range []int{-1, 0, 5} {
			if got := read(t, dir, Query{Tail: tail}); len(got) != 0 {
				t.Error(got)
			}
		}
	}
}

func TestEndsAtTheCall(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	write(t, s, "before\n")
	r, err := Read(t.Context(), dir, all)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, s, "after\n")
	w.files.next()
	write(t, s, "later\n")
	got, err := io.ReadAll(r)
	if err != nil || bytes.Count(got, []byte("\n")) != 1 {
		t.Errorf("%s %v", got, err)
	}
}

func TestCancelledReadIsNotWhole(t *testing.T) {
	dir := logDir(t)
	several(t, dir, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Read(ctx, dir, all)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRead100kLines(b *testing.B) {
	dir := logDir(b)
	w := create(b, dir, 100<<20)
	write(b, w.Stream(Stdout, ""), strings.Repeat(strings.Repeat("x", 79)+"\n", 100_000))
	for b.Loop() {
		r, err := Read(b.Context(), dir, all)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// FuzzRead reads arbitrary files: whatever is in them, what comes out is whole
// JSON objects, one a line, and a tail is the end of all.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"ts":"2026-01-01T00:00:00Z","stream":"stdout","line":"a"}`+"\n"), []byte("{}\n{\n"), 1)
	f.Add([]byte("\n\n{}"), []byte("{}\n\x00"), 2)
	f.Add([]byte("{}\n[]\n{}\n"), []byte(""), 3)
	f.Fuzz(func(t *testing.T, one, two []byte, tail int) {
		dir := t.TempDir()
		os.WriteFile(paths.LogFile(dir, 1), one, 0o600)
		os.WriteFile(paths.LogFile(dir, 3), two, 0o600)
		everything := raw(t, dir, all)
		for _, line := range everything {
			if !all.wants([]byte(line)) {
				t.Fatalf("%q is no record", line)
			}
		}
		tail &= 15
		got := raw(t, dir, Query{Tail: tail})
		want := everything[max(0, len(everything)-tail):]
		if strings.Join(got, "") != strings.Join(want, "") {
			t.Fatalf("tail %d: %q, want %q", tail, got, want)
		}
		raw(t, dir, Query{Tail: tail, Since: time.Unix(1, 0), Exec: "x"})
	})
}

// raw is the lines of a reading.
func raw(t *testing.T, dir string, q Query) []string {
	t.Helper()
	r, err := Read(t.Context(), dir, q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(string(got), "\n")[:bytes.Count(got, []byte("\n"))]
}
