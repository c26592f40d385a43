package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"aegis/client"
)

// screen keeps what is written, for a reader at any time.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// taken returns what has come since the last call, with EL as "<".
func (s *screen) taken() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return strings.ReplaceAll(s.text.String(), clearLine, "<")
}

func TestDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		d := newDisplay(&s, func() int { return 10 }, func(elapsed time.Duration, width int) string {
			return elapsed.String() + strings.Repeat("x", 2*width)
		})
		want := func(text string) {
			t.Helper()
			if got := s.taken(); got != text {
				t.Errorf("the terminal got %q, want %q", got, text)
			}
		}
		time.Sleep(showAfter - 1)
		want("")
		time.Sleep(time.Nanosecond)
		want("<1sxxxxxx…") // nine characters of ten
		time.Sleep(redrawEvery)
		want("<1.25sxxx…")
		d.say("it\x1b[2J stays")
		want("<it\ufffd[2J stays\n")
		d.stop()
		d.stop()
		want("<")
		newDisplay(&s, func() int { return 10 }, func(time.Duration, int) string { return "never" }).stop()
		time.Sleep(time.Hour)
		want("")
		(*display)(nil).stop()
	})
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		width       int
		want        string
	}{
		{0, 10, 30, "image [----------------]   0%"}, {5, 10, 30, "image [########--------]  50%"}, {10, 10, 30, "image [################] 100%"},
		{20, 10, 30, "image [################] 100%"}, {-1, 10, 30, "image [----------------]   0%"},
		{1, 2, 20, "image  50%"}, {1, 2, 8, "i…  50%"}, {1, 2, 3, "  50%"},
		{1, 2, 500, "image [" + strings.Repeat("#", maxBar/2) + strings.Repeat("-", maxBar/2) + "]  50%"},
		{1 << 62, 1<<63 - 1, 30, "image [########--------]  50%"},
	} {
		if got := bar("image", c.done, c.total, c.width-1); got != c.want {
			t.Errorf("%d of %d in %d: %q, want %q", c.done, c.total, c.width, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(8, 300).Draw(t, "width")
		line := bar(rapid.String().Draw(t, "text"), rapid.Int64().Draw(t, "done"), rapid.Int64Min(1).Draw(t, "total"), width)
		if n := len([]rune(line)); n > width {
			t.Fatalf("%d characters in %d: %q", n, width, line)
		}
	})
}

// TestCopyWithoutATerminal says how far it is on lines of their own, seldom.
func TestCopyWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		a := &app{err: &s, env: func(string) string { return "" }}
		m := a.meter(bytes.NewReader(make([]byte, 3<<20)), "")
		m.Read(make([]byte, 3<<20))
		time.Sleep(plainEvery - 1)
		if got := s.taken(); got != "" {
			t.Errorf("it said %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := s.taken(); got != "3 MiB copied, 102.4 KiB/s\n" {
			t.Errorf("it said %q", got)
		}
		m.stop()
		time.Sleep(time.Hour)
		if got := s.taken(); got != "" {
			t.Errorf("it said %q at the end", got)
		}
	})
}

func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 1000, "b": 24} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &meter{done: make(chan struct{})}
	m.measure(dir)
	m.count.Store(512)
	if got := m.line(2*time.Second, 60); got != "512 B copied, 256 B/s [###############----------------]  50%" {
		t.Errorf("%q", got)
	}
}

// TestStepsStay holds that a setup on a terminal leaves a line for each of its steps.
func TestStepsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		s := &steps{}
		s.display = newDisplay(&out, func() int { return 40 }, s.line)
		s.tell(client.Progress{Step: "kernel", Message: "fetching"})
		time.Sleep(2 * time.Second)
		if got := out.taken(); !strings.HasSuffix(got, "<kernel: fetching (2s)") {
			t.Errorf("the terminal got %q", got)
		}
		s.tell(client.Progress{Step: "kernel", Message: "Linux 6"})
		s.tell(client.Progress{Step: "image", Message: "building", Done: 1, Total: 4})
		if got := out.taken(); got != "<kernel: Linux 6\n" {
			t.Errorf("the terminal got %q", got)
		}
		time.Sleep(redrawEvery)
		if got := out.taken(); got != "<image: building [####------------]  25%" {
			t.Errorf("the terminal got %q", got)
		}
		s.end()
		if got := out.taken(); got != "<<image: building\n" {
			t.Errorf("the terminal got %q", got)
		}
	})
}

func TestNarrow(t *testing.T) {
	rows := func() [][]string {
		return [][]string{{"NAME", "ID", "COMMAND"}, {"web", "inst-aaaaaaaaaaaa", "python -m http.server"}, {"größer", "inst-b", "ä"}}
	}
	for width, want := range map[int]string{
		80: "python -m http.server", 48: "python -m http.server", 47: "python -m http.serv…", 10: "pyt…",
	} {
		got := rows()
		narrow(got, width)
		if got[1][2] != want {
			t.Errorf("in %d characters: %q, want …%s", width, got[1], want)
		}
	}
}
