package cli

import (
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// TestSpawnWaits holds that a daemon that says why it can't be ready has ended when that is told.
func TestSpawnWaits(t *testing.T) {
	dir := t.TempDir()
	program, ended := filepath.Join(dir, "aegisd"), filepath.Join(dir, "ended")
	script := "#!/bin/sh\necho '{\"code\": \"no_space\", \"detail\": \"it is full\"}' >&3\nsleep 0.3\necho >" + ended + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	a := &app{env: os.Getenv}
	if err := a.spawn(program, paths.Home{Dir: dir}); !fault.Is(err, fault.NoSpace) {
		t.Errorf("it says %v", err)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("it has not ended: %v", err)
	}
}
