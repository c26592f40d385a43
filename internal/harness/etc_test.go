//go:build linux

package harness

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWriteEtc replaces whatever an image has there, and what it points to not.
func TestWriteEtc(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	os.WriteFile(outside, []byte("of somebody else"), 0o600)
	os.WriteFile(filepath.Join(dir, "longer"), []byte("what was there is much longer\n"), 0o600)
	os.Symlink(outside, filepath.Join(dir, "link"))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"longer": "short\n", "link": "own\n", "new": "new\n", "pipe": "no pipe\n"}
	for range 2 {
		if err := writeEtc(dir, files); err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			path := filepath.Join(dir, name)
			body, err := os.ReadFile(path)
			info, _ := os.Lstat(path)
			if err != nil || string(body) != want || info.Mode() != 0o644 {
				t.Errorf("%s is %q, %v, %v", name, body, info.Mode(), err)
			}
		}
	}
	if body, _ := os.ReadFile(outside); string(body) != "of somebody else" {
		t.Errorf("outside: %q", body)
	}
}

// TestAccountsInAPipe are none, and nobody waits for them.
func TestAccountsInAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "passwd")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := findAccount("7", pipe, pipe); err != nil || a.uid != 7 {
		t.Errorf("%+v, %v", a, err)
	}
}
