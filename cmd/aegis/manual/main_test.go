package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrite holds that each command has a page, with its flags.
func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "pages")
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aegis", "aegis-instance-hold", "aegis-secret-set", "aegis-run"} {
		if text, err := os.ReadFile(filepath.Join(dir, name+".1")); err != nil || !strings.Contains(string(text), "no-autostart") {
			t.Errorf("%s: %v\n%.300s", name, err, text)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if os.WriteFile(file, nil, 0o600) != nil || write(filepath.Join(file, "pages")) == nil {
		t.Error("pages in a file")
	}
}
