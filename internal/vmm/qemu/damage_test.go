package qemu_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aegis/internal/vmm/qemu"
)

// The manifest is the first to notice that a state has changed. When it does not,
// QEMU refuses what it can't read: an error or an ended VM, and no waiting.
func TestStateThatQEMUCannotRead(t *testing.T) {
	snaps, _ := qemu.New(qemu.TCG).Snapshots()
	dir, cfg := template(t, snaps)
	path := filepath.Join(dir, "state")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the devices there is a description of them, which QEMU writes for people.
	described := bytes.Index(whole, []byte(`{"page_size"`))
	if described < 0 {
		t.Fatal("the state has no description of the devices")
	}
	for what, state := range map[string][]byte{
		"a half":     whole[:len(whole)/2],
		"a byte":     whole[:1],
		"an end":     whole[:described-9],
		"junk":       append([]byte("junk"), whole...),
		"other name": append([]byte{}, whole[:100]...),
	} {
		vouch(t, dir, state)
		cfg.Dir = t.TempDir()
		vm, err := snaps.Restore(t.Context(), dir, cfg)
		if err != nil {
			t.Logf("%s: %v", what, err)
			continue
		}
		select {
		case <-vm.Done():
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the VM lives", what)
		}
		vm.Close()
	}
	vouch(t, dir, whole)
	cfg.Dir = t.TempDir()
	vm, err := snaps.Restore(t.Context(), dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	vm.Close()
}

// vouch writes a state and a manifest that fits.
func vouch(t *testing.T, dir string, state []byte) {
	t.Helper()
	path := filepath.Join(dir, "qemu.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(state)
	m["state"], m["state_sum"] = len(state), hex.EncodeToString(sum[:])
	var n struct {
		RAMTime int64 `json:"ram_time"`
	}
	if err := json.Unmarshal(text, &n); err != nil {
		t.Fatal(err)
	}
	m["ram_time"] = n.RAMTime // a float would round it
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(filepath.Join(dir, "state"), state, 0o600)); err != nil {
		t.Fatal(err)
	}
}
