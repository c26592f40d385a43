package cli

import (
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "1": 1, "1048576": 1 << 20, "512M": 512 << 20, "512m": 512 << 20, "512MB": 512 << 20, "512MiB": 512 << 20,
		"1.5g": 3 << 29, "8G": 8 << 30, "1T": 1 << 40, "7b": 7, "2k": 2048,
	} {
		if got, err := sizeFlag("memory", text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "-1M", "M", "1X", "1MM", "1e3", "inf", "nan", "0x10", "99999999T", "1.2.3", "0.1"} {
		if got, err := sizeFlag("memory", text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func FuzzSizeFlag(f *testing.F) {
	for _, seed := range []string{"512M", "1.5g", "8GiB", "0", "-1", "1e9", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := sizeFlag("memory", text)
		if err == nil && n <= 0 && text != "" || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	})
}

func TestEnvironment(t *testing.T) {
	a := &app{env: func(name string) string { return map[string]string{"HERE": "from the caller"}[name] }}
	got, err := a.environment(nil, []string{"A=1", "A=2", "B=", "HERE", "GONE", "C=x=y"})
	want := map[string]string{"A": "2", "B": "", "HERE": "from the caller", "C": "x=y"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"=s3cr3t", "A B=s3cr3t", "A=s3cr3t\x00"} {
		if _, err := a.environment(nil, []string{text}); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "10m": now.Add(-10 * time.Minute), "2026-01-01T00:00:00Z": now.Truncate(24*time.Hour).AddDate(0, 0, -1)} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * day, "1d12h": 36 * time.Hour, "0": 0, "0d": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute} {
		if got, err := parseDays("for", text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "+1d", "1.5d", "1d-1h", "-1s", "7", "1d2d", "1dd", "99999999999999d", "36501d", "9999999h", "soon"} {
		if got, err := parseDays("for", text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{"web": "web", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "./a:b": "./a:b"} {
		if got := quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestReportCannotDriveTheTerminal(t *testing.T) {
	var out strings.Builder
	a := &app{err: &out, env: func(string) string { return "" }}
	a.report(&fault.Error{Kind: fault.Workspace, Subject: "x\x1b[2J", What: "look\r", Why: "a\x1b[2Jb\u009b"})
	if got := out.String(); strings.ContainsAny(got, "\x1b\r\u009b") || !strings.Contains(got, "[2Jb") {
		t.Errorf("%q", got)
	}
}

// TestEveryKindHasAHint holds the third part of every error.
func TestEveryKindHasAHint(t *testing.T) {
	a := &app{env: func(string) string { return "" }, verb: "run"}
	for _, kind := range fault.Kinds() {
		if a.hint(&fault.Error{Kind: kind, Subject: "x"}) == "" {
			t.Errorf("%s has none", kind)
		}
	}
}

func TestReadReady(t *testing.T) {
	for text, kind := range map[string]fault.Kind{
		"":                                   fault.Unreachable,
		"ok":                                 fault.Unreachable,
		"rubbish\n":                          fault.Unreachable,
		`{"code":"no_space"}` + "\n":         fault.NoSpace,
		strings.Repeat("x", 2*maxReady):      fault.Unreachable,
		`{"title":"no code is here"}` + "\n": fault.Unreachable,
	} {
		if err := readReady(strings.NewReader(text)); !fault.Is(err, kind) {
			t.Errorf("%.40q: %v, want %s", text, err, kind)
		}
	}
	if err := readReady(strings.NewReader("ok\n")); err != nil {
		t.Error(err)
	}
}

func TestReadValueKeepsAllButOneNewline(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\n\n": "a\n", "a\r\n": "a", "\n": "", "a\r": "a\r"} {
		if got, err := readValue(strings.NewReader(text)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := readValue(io.MultiReader(strings.NewReader("a"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
