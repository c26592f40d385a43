package logs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/paths"
)

const testID = "inst-aaaaaaaaaaaa"

// record is one line as a client reads it.
type record struct {
	TS      time.Time `json:"ts"`
	Stream  string    `json:"stream"`
	Line    string    `json:"line"`
	ID      string    `json:"instance_id"`
	Exec    string    `json:"exec_id"`
	Base64  bool      `json:"base64"`
	Partial bool      `json:"partial"`
}

func parse(t testing.TB, line []byte) record {
	t.Helper()
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%.200q: %v", line, err)
	}
	if r.Base64 {
		raw, err := base64.StdEncoding.DecodeString(r.Line)
		if err != nil {
			t.Fatal(err)
		}
		r.Line = string(raw)
	}
	return r
}

func create(t testing.TB, dir string, capBytes int64) *Writer {
	t.Helper()
	w, err := Open(dir, testID, capBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// read is every record that a query gives now.
func read(t testing.TB, dir string, q Query) []record {
	t.Helper()
	r, err := Read(t.Context(), dir, q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	for line := range bytes.Lines(all) {
		out = append(out, parse(t, line))
	}
	return out
}

var all = Query{Tail: -1}

// text is what the records' process wrote.
func text(records []record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.Line)
		if !r.Partial {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// names are the lines without more, for short comparisons.
func names(records []record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Line)
	}
	return strings.Join(out, " ")
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(w, s); err != nil || n != len(s) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(s), err)
	}
}

// usage is what the log takes on disk, in bytes, and in how many files.
func usage(t testing.TB, dir string) (total int64, files int) {
	t.Helper()
	found, err := numbers(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range found {
		info, err := os.Stat(paths.LogFile(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total, len(found)
}

// follower reads records as they come.
type follower struct {
	t      *testing.T
	lines  *bufio.Reader
	closer io.Closer
	limit  context.Context // ends a wait for what never comes
}

func follow(t *testing.T, ctx context.Context, dir string, q Query) follower {
	t.Helper()
	q.Follow = true
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	t.Cleanup(cancel)
	r, err := Read(limit, dir, q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return follower{t, bufio.NewReader(r), r, limit}
}

func (f follower) want(lines ...string) {
	f.t.Helper()
	for _, want := range lines {
		line, err := f.lines.ReadBytes('\n')
		if err != nil {
			f.t.Fatalf("waiting for %q: %v", want, err)
		}
		if got := parse(f.t, line).Line; got != want {
			f.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantEnd holds that the reading ends, cleanly.
func (f follower) wantEnd() {
	f.t.Helper()
	if line, err := f.lines.ReadBytes('\n'); err != io.EOF || errors.Is(f.limit.Err(), context.DeadlineExceeded) {
		f.t.Fatalf("got %q, %v, want the end", line, err)
	}
}

func logDir(t testing.TB) string { return filepath.Join(t.TempDir(), "log") }
