package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"aegis/internal/instance"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1024": 1024, "32b": 32, "32B": 32, "1k": 1 << 10, "512M": 512 << 20, "512m": 512 << 20, "512MB": 512 << 20,
		"512MiB": 512 << 20, "8G": 8 << 30, "1.5g": 3 << 29, "10 GB": 10 << 30, "2T": 2 << 40, "1p": 1 << 50,
		"9223372036854775807": 1<<63 - 1, ".5k": 512,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", " 1M", "1  M", "-1", "+1", "1e3", "1x", "1mm", "1ibm", "0x10", "1.2.3k", "NaN", "inf", "1_0",
		"9223372036854775808", "8388608T", "99999999.5P", "1M\n", "."} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n")
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Fatalf("%d is written %q and read %d, %v", n, FormatSize(n), got, err)
		}
	})
	if got := FormatSize(512 << 20); got != "512M" {
		t.Errorf("512 MiB is written %q", got)
	}
}

func TestHumanSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 222420 << 10: "217.2 MiB", 3 << 29: "1.5 GiB", 8 << 30: "8 GiB", 5 << 50: "5 PiB"} {
		if got := HumanSize(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}

// TestHumanSizes holds that two sizes that differ do not look alike.
func TestHumanSizes(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		a, b      int64
		one, both string
	}{
		{512 * mib, 512 * mib, "512 MiB", "512 MiB"}, {512 * mib, 513 * mib, "512 MiB", "513 MiB"},
		{3935 * mib, 3936 * mib, "3.843 GiB", "3.844 GiB"}, {1 << 40, 1<<40 + 1, "1099511627776 bytes", "1099511627777 bytes"}, {0, 1, "0 B", "1 B"},
	} {
		if one, both := HumanSizes(c.a, c.b); one != c.one || both != c.both {
			t.Errorf("%d and %d: %q and %q, want %q and %q", c.a, c.b, one, both, c.one, c.both)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Min(0).Draw(t, "a")
		b := a + rapid.Int64Range(0, 1<<62-1).Draw(t, "more")
		if b < a {
			return
		}
		if one, other := HumanSizes(a, b); (one == other) != (a == b) {
			t.Fatalf("%d and %d are written %q and %q", a, b, one, other)
		}
	})
}

func TestParseTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"never": 0, "0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute} {
		got, err := ParseTimeout(text)
		if err != nil || got != instance.Timeout(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := ParseTimeout(FormatTimeout(got)); err != nil || again != got {
			t.Errorf("%q is written %q", text, FormatTimeout(got))
		}
	}
	for _, text := range []string{"", "-1s", "60", "Never", "soon", "99999999h"} {
		if got, err := ParseTimeout(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	if d, err := ParseDuration("500ms"); err != nil || d != 500*time.Millisecond {
		t.Error(d, err)
	}
	for _, text := range []string{"", "never", "-1s", "10"} {
		if _, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"512M", "1.5g", "9223372036854775807", "", "٣k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := ParseSize(text); err == nil && n < 0 {
			t.Fatalf("%q was read as %d", text, n)
		}
	})
}
