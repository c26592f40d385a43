package shim

import (
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/instance"
)

func TestStray(t *testing.T) {
	for name, takeAway := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return os.Rename(path+".other", path) },
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "shim.sock")
			for _, path := range []string{socket, socket + ".other"} {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := newRun(instance.Launch{})
			r.stray(socket)
			if err := takeAway(socket); err != nil {
				t.Fatal(err)
			}
			<-r.killed
			if r.failure == "" {
				t.Error("it does not say why")
			}
		})
	}
}

func TestStrayEndsWithItsRun(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "shim.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRun(instance.Launch{})
	close(r.ended)
	r.lookAfter(socket, nil, nil)
	if isDone(r.killed) {
		t.Error("a run that had ended was killed")
	}
}
