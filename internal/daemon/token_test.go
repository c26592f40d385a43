package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aegis/internal/fault"
)

func TestTokenIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, err := token(path)
	if err != nil || len(first) < 43 {
		t.Fatalf("%q %v", first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if again, err := token(path); again != first || err != nil {
		t.Errorf("%q %v, want %q", again, err, first)
	}
	other, err := token(filepath.Join(t.TempDir(), "token"))
	if err != nil || other == first {
		t.Errorf("%q twice, %v", other, err)
	}
}

// TestTokenIsRefused leaves what it refuses as it is.
func TestTokenIsRefused(t *testing.T) {
	good := strings.Repeat("x", minToken)
	for text, mode := range map[string]os.FileMode{
		"": 0o600, "short\n": 0o600, strings.Repeat("x", maxToken+1): 0o600, good + "\n\n" + good: 0o600, good + "é": 0o600, good + "\x01": 0o600,
		good: 0o640, good + "y": 0o604,
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got, err := token(path); !fault.Is(err, fault.Config) || got != "" || strings.Contains(err.Error(), good) {
			t.Errorf("%.40q, %s: %q %v", text, mode, got, err)
		}
		if kept, _ := os.ReadFile(path); string(kept) != text {
			t.Errorf("%.40q was changed", text)
		}
	}
	if _, err := token(t.TempDir()); !fault.Is(err, fault.Config) {
		t.Errorf("a directory: %v", err)
	}
}
