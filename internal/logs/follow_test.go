package logs

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFollow(t *testing.T) {
	for name, unwatched := range map[string]bool{"watched": false, "polled": true} {
		t.Run(name, func(t *testing.T) {
			dir := logDir(t)
			w := create(t, dir, 1<<20)
			s := w.Stream(Stdout, "")
			write(t, s, "past\nold\n")
			f := follow(t, t.Context(), dir, Query{Tail: 1})
			if unwatched {
				blind(f)
			}
			f.want("old")
			write(t, s, "new\n")
			f.want("new")
			write(t, s, "in tw")
			write(t, s, "o\n")
			f.want("in two")
			w.files.next()
			write(t, s, "rotated\n")
			f.want("rotated")
			w.Close()
			w = create(t, dir, 1<<20)
			write(t, w.Stream(Stdout, ""), "restarted\n")
			f.want("restarted")
			w.Close()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			f.wantEnd()
		})
	}
}

// blind takes the system's reports away from a follower that has not read yet.
func blind(f follower) {
	r := f.closer.(*reader)
	r.watch.close()
	r.watch = &watch{timer: time.NewTicker(pollUnwatched)}
}

func TestFollowFromBeforeTheFirstRecord(t *testing.T) {
	dir := t.TempDir()
	f := follow(t, t.Context(), dir, Query{})
	w := create(t, dir, 1<<20)
	write(t, w.Stream(Stdout, ""), "first\n")
	f.want("first")
}

func TestFollowFilters(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	f := follow(t, t.Context(), dir, Query{Streams: []string{Stderr}, Exec: "exec-a"})
	write(t, w.Stream(Stdout, "exec-a"), "no\n")
	write(t, w.Stream(Stderr, "exec-b"), "no\n")
	write(t, w.Stream(Stderr, ""), "no\n")
	write(t, w.Stream(Stderr, "exec-a"), "yes\n")
	f.want("yes")
}

func TestFollowEndsWithItsContext(t *testing.T) {
	dir := logDir(t)
	create(t, dir, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	f := follow(t, ctx, dir, Query{})
	time.AfterFunc(10*time.Millisecond, cancel)
	f.wantEnd()
}

func TestCloseEndsAWaitingRead(t *testing.T) {
	dir := logDir(t)
	create(t, dir, 1<<20)
	f := follow(t, t.Context(), dir, Query{})
	time.AfterFunc(10*time.Millisecond, func() { f.closer.Close() })
	f.wantEnd()
	f.closer.Close()
}

// TestFollowAcrossACutRecord shows a follower the beginning of a record that a
// crash cut short, which the next writer then cuts off.
func TestFollowAcrossACutRecord(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	write(t, w.Stream(Stdout, ""), "one\n")
	f := follow(t, t.Context(), dir, all)
	f.want("one")
	write(t, w.files.f, `{"ts":"2026-01-01T00:00:00Z","str`)
	r := f.closer.(*reader)
	r.rewind() // as after a wait
	if line, err := r.line(); err != io.EOF {
		t.Fatalf("half a record is given as %q, %v", line, err)
	}
	w.files.close()
	w = create(t, dir, 1<<20)
	write(t, w.Stream(Stdout, ""), "two\n")
	if err := r.more(); err != nil {
		t.Fatal(err)
	}
	f.want("two")
}

// TestFollowTakesALastLook lets a file grow and get a successor between the moment
// a follower has found its end and the moment it looks for the next one.
func TestFollowTakesALastLook(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	write(t, s, "one\n")
	f := follow(t, t.Context(), dir, all)
	f.want("one")
	r := f.closer.(*reader)
	if line, err := r.line(); err != io.EOF {
		t.Fatalf("%q, %v", line, err)
	}
	write(t, s, "late\n")
	w.files.next()
	write(t, s, "new\n")
	if err := r.more(); err != nil {
		t.Fatal(err)
	}
	f.want("late", "new")
}

// TestFollowersSeeEverything has a writer that rotates all the time, and readers
// that must miss nothing as long as the cap is not reached.
func TestFollowersSeeEverything(t *testing.T) {
	const lines = 5000
	dir := logDir(t)
	w := create(t, dir, 2<<20) // files of 256 KiB
	s := w.Stream(Stdout, "")
	var wg sync.WaitGroup
	for range 4 {
		f := follow(t, t.Context(), dir, all)
		wg.Go(func() {
			for i := range lines {
				line, err := f.lines.ReadBytes('\n')
				if want := fmt.Sprintf(`"line":"%06d `, i); err != nil || !strings.Contains(string(line), want) {
					t.Errorf("got %.100q, %v, want %s", line, err, want)
					return
				}
			}
		})
	}
	for i := range lines {
		write(t, s, fmt.Sprintf("%06d %s\n", i, strings.Repeat("x", 200)))
	}
	if _, files := usage(t, dir); files < 4 {
		t.Errorf("only %d files", files)
	}
	wg.Wait()
}

// TestSlowFollowerSkipsWhatIsGone holds that a reader which the cap has overtaken
// goes on with the oldest record that is left.
func TestSlowFollowerSkipsWhatIsGone(t *testing.T) {
	dir := logDir(t)
	w := create(t, dir, 1<<20)
	s := w.Stream(Stdout, "")
	write(t, s, "first\n")
	f := follow(t, t.Context(), dir, all)
	f.want("first")
	for i := range 20_000 {
		write(t, s, fmt.Sprintf("%06d %s\n", i, strings.Repeat("x", 100)))
	}
	before := -1
	for before < 19_999 {
		line, err := f.lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(parse(t, line).Line, "%d", &n); err != nil || n <= before {
			t.Fatalf("%d comes after %d, %v", n, before, err)
		}
		before = n
	}
}
