package logs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"aegis/internal/paths"
)

func TestCap(t *testing.T) {
	const limit = 1 << 20
	dir := logDir(t)
	w := create(t, dir, limit)
	s := w.Stream(Stdout, "")
	for i := range 30_000 {
		write(t, s, fmt.Sprintf("%06d\n", i))
		if i%500 != 0 {
			continue
		}
		if total, _ := usage(t, dir); total > limit {
			t.Fatalf("after %d lines the log takes %d bytes", i, total)
		}
	}
	w.Close()
	records := read(t, dir, all)
	for i, r := range records {
		if want := fmt.Sprintf("%06d", 30_000-len(records)+i); r.Line != want {
			t.Fatalf("record %d is %s, want %s", i, r.Line, want)
		}
	}
	if total, files := usage(t, dir); total < limit*3/4 || files < 2 {
		t.Errorf("only %d bytes in %d files were kept", total, files)
	}
}

func TestWithinTheCapNothingIsLost(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	n := 0
	for total := int64(0); total < 1<<20-300; total, _ = usage(t, dir) {
		write(t, s, fmt.Sprintf("%06d\n", n))
		n++
	}
	w.Close()
	if records := read(t, dir, all); len(records) != n {
		t.Errorf("%d of %d records are left", len(records), n)
	}
}

// TestBigRecordsKeepTheCap writes batches that each take most of the cap.
func TestBigRecordsKeepTheCap(t *testing.T) {
	const limit = 1 << 20
	dir := logDir(t)
	w := create(t, dir, limit)
	s := w.Stream(Stdout, "")
	for _, fill := range []string{"x", "\x01\"", "\xff", "\x01"} {
		write(t, s, strings.Repeat(strings.Repeat(fill, 700<<10/len(fill))+"\n", 3))
		write(t, s, strings.Repeat(strings.Repeat(fill, 50)+"\n", 20_000))
		write(t, s, strings.Repeat(strings.Repeat(fill, 65535/len(fill))+"\n", 20))
		if total, _ := usage(t, dir); total > limit {
			t.Errorf("%q: the log takes %d bytes", fill, total)
		}
	}
	last := read(t, dir, Query{Tail: 1})
	if len(last) != 1 || last[0].Line != strings.Repeat("\x01", 65535) {
		t.Error("the newest record is not there")
	}
}

// TestRepairsACutRecord leaves what a crash leaves.
func TestRepairsACutRecord(t *testing.T) {
	dir := logDir(t)
	for life, torn := range []string{"", `{"ts":"2026`, `{"ts":"2026`, strings.Repeat("x", 100<<10), "\x00\x00\x00"} {
		w := create(t, dir, 1<<20)
		write(t, w.Stream(Stdout, ""), fmt.Sprintf("life-%d\n", life))
		w.Close()
		name := paths.LogFile(dir, 1)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		write(t, f, torn)
		f.Close()
		if got := read(t, dir, all); len(got) != life+1 {
			t.Errorf("a reader finds %d records behind %.20q", len(got), torn)
		}
		if got := read(t, dir, Query{Tail: 1}); len(got) != 1 || got[0].Line != fmt.Sprintf("life-%d", life) {
			t.Errorf("a tail finds %v", got)
		}
	}
	create(t, dir, 1<<20).Close()
	if raw, err := os.ReadFile(paths.LogFile(dir, 1)); err != nil || strings.Count(string(raw), "\n") != 5 || raw[len(raw)-1] != '\n' {
		t.Errorf("after the repair: %q, %v", raw, err)
	}
}

func TestReopenCountsWhatIsThere(t *testing.T) {
	const limit = 1 << 20
	dir := logDir(t)
	for range 6 {
		w := create(t, dir, limit)
		write(t, w.Stream(Stdout, ""), strings.Repeat(strings.Repeat("x", 99)+"\n", 2000))
		w.Close()
		if total, _ := usage(t, dir); total > limit {
			t.Fatalf("the log takes %d bytes", total)
		}
	}
}

func TestPrivate(t *testing.T) {
	dir := logDir(t)
	create(t, dir, 1<<20)
	for name, want := range map[string]os.FileMode{dir: 0o700, paths.LogFile(dir, 1): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
