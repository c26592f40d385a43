package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/durable"
)

// TestSync takes files and directories, and says when there is none. That bytes are on the
// disk can't be seen from here.
func TestSync(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(durable.Sync(file), durable.Sync(dir)); err != nil {
		t.Error(err)
	}
	if err := durable.Sync(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
