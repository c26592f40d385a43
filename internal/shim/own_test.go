package shim

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOneVMForADisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	open := func() *os.File {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first := open()
	if err := own(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := own(late, open()); err == nil {
		t.Error("two have the disk")
	}
	freed := make(chan error, 1)
	go func() { freed <- own(t.Context(), open()) }() // waits for the first to end
	first.Close()
	if err := <-freed; err != nil {
		t.Error(err)
	}
}
